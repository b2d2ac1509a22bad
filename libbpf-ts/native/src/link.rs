// SPDX-License-Identifier: Apache-2.0
//! Attachments, and reading iterators.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

use libbpf_sys as bpf;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::error::{argument, check, closed, errno, Result};

#[napi]
pub struct NativeLink {
    link: *mut bpf::bpf_link,
}

impl Drop for NativeLink {
    fn drop(&mut self) {
        self.release();
    }
}

impl NativeLink {
    pub fn new(link: *mut bpf::bpf_link) -> NativeLink {
        NativeLink { link }
    }

    fn release(&mut self) -> i32 {
        let link = std::mem::replace(&mut self.link, std::ptr::null_mut());
        if link.is_null() {
            return 0;
        }
        unsafe { bpf::bpf_link__destroy(link) }
    }
}

#[napi]
impl NativeLink {
    /// Detaches and frees; a second call does nothing.
    #[napi(catch_unwind)]
    pub fn detach(&mut self) -> Result<()> {
        check(self.release(), "detach")?;
        Ok(())
    }

    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        if self.link.is_null() {
            return Err(closed("link"));
        }
        check(unsafe { bpf::bpf_link__fd(self.link) }, "link fd")
    }

    /// Runs the iterator once and returns all that it wrote.
    #[napi(catch_unwind)]
    pub fn read_iterator(&self, bytes_max: u32) -> Result<Uint8Array> {
        let link_fd = self.fd()?;
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
