// SPDX-License-Identifier: Apache-2.0
//! Attachments, and reading iterators.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::attach::set_socket_option;
use crate::error::{argument, c_string, check, closed, errno, Result};

/// What holds a program at its hook; the older kinds have no kernel link and are undone by a call.
enum Holder {
    Libbpf(*mut bpf::bpf_link),
    Kernel(OwnedFd),
    Direct {
        program: OwnedFd,
        target: OwnedFd,
        kind: u32,
    },
    Socket(OwnedFd),
    Tc {
        hook: bpf::bpf_tc_hook,
        handle: u32,
        priority: u32,
    },
}

#[napi]
pub struct NativeLink {
    holder: Option<Holder>,
}

impl Drop for NativeLink {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

impl NativeLink {
    pub fn new(link: *mut bpf::bpf_link) -> NativeLink {
        NativeLink {
            holder: Some(Holder::Libbpf(link)),
        }
    }

    pub fn from_fd(fd: OwnedFd) -> NativeLink {
        NativeLink {
            holder: Some(Holder::Kernel(fd)),
        }
    }

    pub fn from_direct(program: OwnedFd, target: OwnedFd, kind: u32) -> NativeLink {
        NativeLink {
            holder: Some(Holder::Direct {
                program,
                target,
                kind,
            }),
        }
    }

    pub fn from_socket(socket: OwnedFd) -> NativeLink {
        NativeLink {
            holder: Some(Holder::Socket(socket)),
        }
    }

    pub fn from_tc(hook: bpf::bpf_tc_hook, handle: u32, priority: u32) -> NativeLink {
        NativeLink {
            holder: Some(Holder::Tc {
                hook,
                handle,
                priority,
            }),
        }
    }

    fn release(&mut self) -> Result<()> {
        match self.holder.take() {
            None => Ok(()),
            Some(Holder::Libbpf(link)) => {
                check(unsafe { bpf::bpf_link__destroy(link) }, "detach").map(|_| ())
            }
            // Closing the last descriptor of a link that is not pinned detaches it.
            Some(Holder::Kernel(fd)) => {
                drop(fd);
                Ok(())
            }
            Some(Holder::Direct {
                program,
                target,
                kind,
            }) => {
                let result =
                    unsafe { bpf::bpf_prog_detach2(program.as_raw_fd(), target.as_raw_fd(), kind) };
                check(result, "detach").map(|_| ())
            }
            Some(Holder::Socket(socket)) => {
                match set_socket_option(socket.as_raw_fd(), libc::SO_DETACH_BPF, 0) {
                    // Another filter took its place, or the socket is gone: nothing is left to undo.
                    Err(error) if error.status == libc::ENOENT.to_string() => Ok(()),
                    other => other,
                }
            }
            Some(Holder::Tc {
                hook,
                handle,
                priority,
            }) => {
                let options = bpf::bpf_tc_opts {
                    sz: size_of::<bpf::bpf_tc_opts>() as bpf::size_t,
                    handle,
                    priority,
                    ..Default::default()
                };
                check(unsafe { bpf::bpf_tc_detach(&hook, &options) }, "detach").map(|_| ())
            }
        }
    }

    pub fn raw_fd(&self) -> Result<i32> {
        match &self.holder {
            None => Err(closed("link")),
            Some(Holder::Libbpf(link)) => check(unsafe { bpf::bpf_link__fd(*link) }, "link fd"),
            Some(Holder::Kernel(fd)) => Ok(fd.as_raw_fd()),
            Some(_) => Err(argument("this kind of attachment has no kernel link")),
        }
    }
}

#[napi(object)]
pub struct LinkInfo {
    pub id: u32,
    #[napi(js_name = "type")]
    pub kind: u32,
    pub program_id: u32,
}

#[napi]
impl NativeLink {
    /// A link that was pinned before.
    #[napi(factory, catch_unwind)]
    pub fn open_pinned(path: String) -> Result<NativeLink> {
        let path = c_string(&path)?;
        let fd = check(
            unsafe { bpf::bpf_obj_get(path.as_ptr()) },
            "open pinned link",
        )?;
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        link_info(fd.as_raw_fd()).map_err(|_| argument("what is pinned there is not a link"))?;
        Ok(NativeLink::from_fd(fd))
    }

    /// Detaches and frees; a second call does nothing. A pinned link stays attached.
    #[napi(catch_unwind)]
    pub fn detach(&mut self) -> Result<()> {
        self.release()
    }

    /// Detaches in the kernel although it is pinned or others hold it.
    #[napi(catch_unwind)]
    pub fn force_detach(&self) -> Result<()> {
        check(unsafe { bpf::bpf_link_detach(self.raw_fd()?) }, "detach")?;
        Ok(())
    }

    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        self.raw_fd()
    }

    #[napi(catch_unwind)]
    pub fn info(&self) -> Result<LinkInfo> {
        link_info(self.raw_fd()?)
    }

    #[napi(catch_unwind)]
    pub fn pin(&self, path: String) -> Result<()> {
        let path = c_string(&path)?;
        check(
            unsafe { bpf::bpf_obj_pin(self.raw_fd()?, path.as_ptr()) },
            "pin",
        )?;
        Ok(())
    }

    /// Runs the iterator once and returns all that it wrote.
    #[napi(catch_unwind)]
    pub fn read_iterator(&self, bytes_max: u32) -> Result<Uint8Array> {
        let link_fd = self.raw_fd()?;
        let fd = check(unsafe { bpf::bpf_iter_create(link_fd) }, "create iterator")?;
        let mut file = unsafe { File::from_raw_fd(fd) };
        let mut output = Vec::with_capacity(8192);
        let mut chunk = [0u8; 8192];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(Uint8Array::new(output)),
                Ok(length) => output.extend_from_slice(&chunk[..length]),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::EAGAIN) => {}
                    number => return Err(errno(number.unwrap_or(libc::EIO), "read iterator")),
                },
            }
            if output.len() > bytes_max as usize {
                return Err(argument(format!(
                    "the iterator wrote more than {bytes_max} bytes"
                )));
            }
        }
    }
}

fn link_info(fd: i32) -> Result<LinkInfo> {
    let mut info = bpf::bpf_link_info::default();
    let mut size = size_of::<bpf::bpf_link_info>() as u32;
    check(
        unsafe { bpf::bpf_link_get_info_by_fd(fd, &mut info, &mut size) },
        "link info",
    )?;
    Ok(LinkInfo {
        id: info.id,
        kind: info.type_,
        program_id: info.prog_id,
    })
}
