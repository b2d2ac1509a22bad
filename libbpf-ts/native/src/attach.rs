// SPDX-License-Identifier: Apache-2.0
//! One function a kind of hook; TypeScript chooses among them and checks what the user gave.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi::bindgen_prelude::{BigInt, BigUint64ArraySlice, Uint8Array};
use napi_derive::napi;

use crate::error::{argument, c_string, check, check_pointer, errno, Result};
use crate::link::NativeLink;
use crate::log;
use crate::map::NativeMap;
use crate::object::NativeObject;
use crate::perf::open_event;

const FLAG_BEFORE: u32 = 1 << 3;
const FLAG_AFTER: u32 = 1 << 4;

#[napi(object)]
pub struct UprobeOptions {
    pub path: String,
    /// -1: every process, 0: this one.
    pub pid: i32,
    pub offset: f64,
    pub reference_counter_offset: f64,
    pub cookie: BigInt,
    pub is_return: bool,
}

#[napi(object)]
pub struct UprobeMultiOptions {
    pub path: String,
    pub pid: i32,
    pub is_return: bool,
    pub is_session: bool,
}

#[napi(object)]
pub struct PerfEventOptions {
    #[napi(js_name = "type")]
    pub kind: u32,
    pub config: f64,
    /// Samples a second when `is_frequency`, else events from sample to sample.
    pub period: f64,
    pub is_frequency: bool,
    pub pid: i32,
    pub cpu: i32,
    pub cookie: BigInt,
}

#[napi(object)]
pub struct TestRunOptions {
    pub data_out_bytes: u32,
    pub context_out_bytes: u32,
    pub repeat: u32,
    pub flags: u32,
    pub cpu: u32,
}

#[napi(object)]
pub struct TestRunResult {
    pub return_value: u32,
    pub duration_ns: u32,
    pub data: Uint8Array,
    pub context: Uint8Array,
}

fn number(value: &BigInt) -> u64 {
    value.get_u64().1
}

fn order_flag(order: &str) -> u32 {
    match order {
        "first" => FLAG_BEFORE,
        "last" => FLAG_AFTER,
        _ => 0,
    }
}

fn link_of(link: *mut bpf::bpf_link, what: &str) -> Result<NativeLink> {
    Ok(NativeLink::new(check_pointer(link, what)?))
}

/// Sizes and options are the same in all of libbpf's `_opts` structs: `sz` first, zeros elsewhere.
macro_rules! options {
    ($kind:ident { $($field:ident : $value:expr),* $(,)? }) => {
        bpf::$kind {
            sz: size_of::<bpf::$kind>() as bpf::size_t,
            $($field: $value,)*
            ..Default::default()
        }
    };
}

#[napi]
impl NativeObject {
    #[napi(catch_unwind)]
    pub fn attach_tracepoint(
        &self,
        program: String,
        category: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let (category, name) = (c_string(&category)?, c_string(&name)?);
        log::start();
        let options = options!(bpf_tracepoint_opts {
            bpf_cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_tracepoint_opts(
                    program,
                    category.as_ptr(),
                    name.as_ptr(),
                    &options,
                )
            },
            "attach tracepoint",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_raw_tracepoint(
        &self,
        program: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let name = c_string(&name)?;
        log::start();
        let mut options = options!(bpf_raw_tracepoint_opts {
            cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_raw_tracepoint_opts(program, name.as_ptr(), &mut options)
            },
            "attach raw tracepoint",
        )
    }

    /// `tp_btf`, `fentry`, `fexit`, `fmod_ret`, `lsm`: the target was fixed at load.
    #[napi(catch_unwind)]
    pub fn attach_trace(&self, program: String, cookie: BigInt) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_trace_opts {
            cookie: number(&cookie)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_trace_opts(program, &options) },
            "attach trace",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_kprobe(
        &self,
        program: String,
        function: String,
        offset: u32,
        is_return: bool,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let function = c_string(&function)?;
        log::start();
        let options = options!(bpf_kprobe_opts {
            bpf_cookie: number(&cookie),
            offset: offset as bpf::size_t,
            retprobe: is_return,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_kprobe_opts(program, function.as_ptr(), &options) },
            "attach kprobe",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_ksyscall(
        &self,
        program: String,
        syscall: String,
        is_return: bool,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let syscall = c_string(&syscall)?;
        log::start();
        let options = options!(bpf_ksyscall_opts {
            bpf_cookie: number(&cookie),
            retprobe: is_return,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_ksyscall(program, syscall.as_ptr(), &options) },
            "attach ksyscall",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_kprobe_multi(
        &self,
        program: String,
        functions: Vec<String>,
        cookies: BigUint64ArraySlice<'_>,
        is_return: bool,
        is_session: bool,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        if cookies.len() != functions.len() {
            return Err(argument("functions and cookies differ in number"));
        }
        let names = functions
            .iter()
            .map(|name| c_string(name))
            .collect::<Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        log::start();
        let options = options!(bpf_kprobe_multi_opts {
            syms: pointers.as_mut_ptr(),
            cookies: cookies.as_ptr(),
            cnt: names.len() as bpf::size_t,
            retprobe: is_return,
            session: is_session,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_kprobe_multi_opts(program, std::ptr::null(), &options)
            },
            "attach kprobe.multi",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_uprobe(&self, program: String, wanted: UprobeOptions) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let path = c_string(&wanted.path)?;
        log::start();
        let options = options!(bpf_uprobe_opts {
            ref_ctr_offset: wanted.reference_counter_offset as bpf::size_t,
            bpf_cookie: number(&wanted.cookie),
            retprobe: wanted.is_return,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_uprobe_opts(
                    program,
                    wanted.pid,
                    path.as_ptr(),
                    wanted.offset as bpf::size_t,
                    &options,
                )
            },
            "attach uprobe",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_uprobe_multi(
        &self,
        program: String,
        wanted: UprobeMultiOptions,
        offsets: BigUint64ArraySlice<'_>,
        cookies: BigUint64ArraySlice<'_>,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let path = c_string(&wanted.path)?;
        if offsets.is_empty() || offsets.len() != cookies.len() {
            return Err(argument(
                "offsets and cookies differ in number, or are none",
            ));
        }
        log::start();
        let options = options!(bpf_uprobe_multi_opts {
            offsets: offsets.as_ptr().cast(),
            cookies: cookies.as_ptr(),
            cnt: offsets.len() as bpf::size_t,
            retprobe: wanted.is_return,
            session: wanted.is_session,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_uprobe_multi(
                    program,
                    wanted.pid,
                    path.as_ptr(),
                    std::ptr::null(),
                    &options,
                )
            },
            "attach uprobe.multi",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_usdt(
        &self,
        program: String,
        pid: i32,
        path: String,
        provider: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let (path, provider, name) = (c_string(&path)?, c_string(&provider)?, c_string(&name)?);
        log::start();
        let options = options!(bpf_usdt_opts {
            usdt_cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_usdt(
                    program,
                    pid,
                    path.as_ptr(),
                    provider.as_ptr(),
                    name.as_ptr(),
                    &options,
                )
            },
            "attach USDT",
        )
    }

    /// One event on one CPU; the link owns it.
    #[napi(catch_unwind)]
    pub fn attach_perf_event(
        &self,
        program: String,
        wanted: PerfEventOptions,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let mut attributes = bpf::perf_event_attr {
            type_: wanted.kind,
            config: wanted.config as u64,
            ..Default::default()
        };
        attributes.__bindgen_anon_1.sample_period = wanted.period as u64;
        attributes.set_freq(u64::from(wanted.is_frequency));
        attributes.set_disabled(1);
        let event = open_event(&mut attributes, wanted.pid, wanted.cpu)?;
        let options = options!(bpf_perf_event_opts {
            bpf_cookie: number(&wanted.cookie)
        });
        let link = unsafe {
            bpf::bpf_program__attach_perf_event_opts(program, event.as_raw_fd(), &options)
        };
        let link = link_of(link, "attach perf event")?;
        // libbpf closes the event with the link.
        std::mem::forget(event);
        Ok(link)
    }

    #[napi(catch_unwind)]
    pub fn attach_cgroup(&self, program: String, fd: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let link = match order_flag(&order) {
            0 => unsafe { bpf::bpf_program__attach_cgroup(program, fd) },
            flags => {
                let options = options!(bpf_cgroup_opts { flags: flags });
                unsafe { bpf::bpf_program__attach_cgroup_opts(program, fd, &options) }
            }
        };
        link_of(link, "attach cgroup")
    }

    #[napi(catch_unwind)]
    pub fn attach_tcx(&self, program: String, index: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_tcx_opts {
            flags: order_flag(&order)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_tcx(program, index, &options) },
            "attach tcx",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_netkit(&self, program: String, index: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_netkit_opts {
            flags: order_flag(&order)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_netkit(program, index, &options) },
            "attach netkit",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_netfilter(
        &self,
        program: String,
        family: u32,
        hook: u32,
        priority: i32,
        flags: u32,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_netfilter_opts {
            pf: family,
            hooknum: hook,
            priority: priority,
            flags: flags,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_netfilter(program, &options) },
            "attach netfilter",
        )
    }

    /// A link of any kind whose target is a number and that needs no more than flags: XDP
    /// (interface), sk_lookup (network namespace), sk_msg and sk_skb (map).
    #[napi(catch_unwind)]
    pub fn attach_target(&self, program: String, target: i32, flags: u32) -> Result<NativeLink> {
        let (program, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let kind = unsafe { bpf::bpf_program__expected_attach_type(program) };
        let options = options!(bpf_link_create_opts { flags: flags });
        let link = check(
            unsafe { bpf::bpf_link_create(fd, target, kind, &options) },
            "create link",
        )?;
        Ok(NativeLink::from_fd(unsafe { OwnedFd::from_raw_fd(link) }))
    }

    /// The attachment without a link, for kernels that have none for this kind (`BPF_PROG_ATTACH`).
    #[napi(catch_unwind)]
    pub fn attach_direct(&self, program: String, target: i32) -> Result<NativeLink> {
        let (program, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let kind = unsafe { bpf::bpf_program__expected_attach_type(program) };
        let target = duplicate(target)?;
        check(
            unsafe { bpf::bpf_prog_attach(fd, target.as_raw_fd(), kind, 0) },
            "attach",
        )?;
        Ok(NativeLink::from_direct(duplicate(fd)?, target, kind))
    }

    /// `SO_ATTACH_BPF` on a socket of this process.
    #[napi(catch_unwind)]
    pub fn attach_socket(&self, program: String, socket: i32) -> Result<NativeLink> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        let socket = duplicate(socket)?;
        set_socket_option(socket.as_raw_fd(), libc::SO_ATTACH_BPF, fd)?;
        Ok(NativeLink::from_socket(socket))
    }

    /// The classifier on a clsact qdisc, made when it is missing and left there.
    #[napi(catch_unwind)]
    pub fn attach_tc(
        &self,
        program: String,
        index: i32,
        is_egress: bool,
        handle: u32,
        priority: u32,
    ) -> Result<NativeLink> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let mut hook = options!(bpf_tc_hook {
            ifindex: index,
            attach_point: if is_egress {
                bpf::BPF_TC_EGRESS
            } else {
                bpf::BPF_TC_INGRESS
            },
        });
        let made = unsafe { bpf::bpf_tc_hook_create(&mut hook) };
        if made < 0 && made != -libc::EEXIST {
            return Err(errno(made, "create clsact qdisc"));
        }
        let mut options = options!(bpf_tc_opts {
            prog_fd: fd,
            handle: handle,
            priority: priority,
        });
        check(
            unsafe { bpf::bpf_tc_attach(&hook, &mut options) },
            "attach tc",
        )?;
        Ok(NativeLink::from_tc(hook, options.handle, options.priority))
    }

    #[napi(catch_unwind)]
    pub fn attach_freplace(
        &self,
        program: String,
        target: i32,
        function: String,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let function = c_string(&function)?;
        log::start();
        link_of(
            unsafe { bpf::bpf_program__attach_freplace(program, target, function.as_ptr()) },
            "attach freplace",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_map_iterator(&self, program: String, map: &NativeMap) -> Result<NativeLink> {
        let mut info = bpf::bpf_iter_link_info::default();
        info.map.map_fd = map.raw_fd()? as u32;
        self.attach_iterator(&program, info)
    }

    /// `order`: `BPF_CGROUP_ITER_*` of `linux/bpf.h`.
    #[napi(catch_unwind)]
    pub fn attach_cgroup_iterator(
        &self,
        program: String,
        fd: i32,
        order: u32,
    ) -> Result<NativeLink> {
        let mut info = bpf::bpf_iter_link_info::default();
        info.cgroup.cgroup_fd = fd as u32;
        info.cgroup.order = order;
        self.attach_iterator(&program, info)
    }

    /// Runs a program once or more on given data and context (`BPF_PROG_TEST_RUN`).
    #[napi(catch_unwind)]
    pub fn test_run(
        &self,
        program: String,
        data: Option<&[u8]>,
        context: Option<&[u8]>,
        wanted: TestRunOptions,
    ) -> Result<TestRunResult> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let mut data_out = vec![0u8; wanted.data_out_bytes as usize];
        let mut context_out = vec![0u8; wanted.context_out_bytes as usize];
        // `syscall` programs write into their context, so it must not be the caller's memory.
        let mut context_in = context.map(<[u8]>::to_vec);
        let mut options = options!(bpf_test_run_opts {
            data_in: data.map_or(std::ptr::null(), |bytes| bytes.as_ptr().cast()),
            data_size_in: data.map_or(0, |bytes| bytes.len() as u32),
            ctx_in: context_in
                .as_mut()
                .map_or(std::ptr::null(), |bytes| bytes.as_mut_ptr().cast()),
            ctx_size_in: context.map_or(0, |bytes| bytes.len() as u32),
            repeat: wanted.repeat as i32,
            flags: wanted.flags,
            cpu: wanted.cpu,
        });
        if !data_out.is_empty() {
            options.data_out = data_out.as_mut_ptr().cast();
            options.data_size_out = wanted.data_out_bytes;
        }
        if !context_out.is_empty() {
            options.ctx_out = context_out.as_mut_ptr().cast();
            options.ctx_size_out = wanted.context_out_bytes;
        }
        check(
            unsafe { bpf::bpf_prog_test_run_opts(fd, &mut options) },
            "test run",
        )?;
        data_out.truncate(options.data_size_out as usize);
        context_out.truncate(options.ctx_size_out as usize);
        if context_out.is_empty() {
            context_out = context_in.unwrap_or_default();
        }
        Ok(TestRunResult {
            return_value: options.retval,
            duration_ns: options.duration,
            data: Uint8Array::new(data_out),
            context: Uint8Array::new(context_out),
        })
    }

    #[napi(catch_unwind)]
    pub fn pin_program(&self, program: String, path: String) -> Result<()> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        let path = c_string(&path)?;
        check(unsafe { bpf::bpf_obj_pin(fd, path.as_ptr()) }, "pin")?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn program_fd(&self, program: String) -> Result<i32> {
        Ok(self.loaded_program_fd(&program)?.1)
    }

    #[napi(catch_unwind)]
    pub fn update_link(&self, program: String, link: &NativeLink) -> Result<()> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let result = unsafe { bpf::bpf_link_update(link.raw_fd()?, fd, std::ptr::null()) };
        check(result, "update link")?;
        Ok(())
    }
}

impl NativeObject {
    fn attach_iterator(
        &self,
        program: &str,
        mut info: bpf::bpf_iter_link_info,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(program)?;
        log::start();
        let options = options!(bpf_iter_attach_opts {
            link_info: &mut info,
            link_info_len: size_of::<bpf::bpf_iter_link_info>() as u32,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_iter(program, &options) },
            "attach iterator",
        )
    }
}

pub fn duplicate(fd: i32) -> Result<OwnedFd> {
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(errno(crate::error::last_errno(), "duplicate descriptor"));
    }
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

pub fn set_socket_option(socket: i32, option: i32, value: i32) -> Result<()> {
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<i32>() as u32,
        )
    };
    check(result, "setsockopt")?;
    Ok(())
}
