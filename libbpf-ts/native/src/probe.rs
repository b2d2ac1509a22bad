// SPDX-License-Identifier: Apache-2.0
//! What this kernel has and allows.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi_derive::napi;

use crate::error::{c_string, check, check_pointer, closed, string_at, Result};
use crate::log;

/// The kernel's own types.
#[napi]
pub struct NativeBtf {
    btf: *mut bpf::btf,
}

impl Drop for NativeBtf {
    fn drop(&mut self) {
        self.release();
    }
}

impl NativeBtf {
    fn release(&mut self) {
        let btf = std::mem::replace(&mut self.btf, std::ptr::null_mut());
        unsafe { bpf::btf__free(btf) };
    }
}

#[napi]
impl NativeBtf {
    #[napi(factory, catch_unwind)]
    pub fn load_kernel() -> Result<NativeBtf> {
        log::start();
        let btf = unsafe { bpf::btf__load_vmlinux_btf() };
        Ok(NativeBtf {
            btf: check_pointer(btf, "kernel BTF")?,
        })
    }

    /// The id of a type, 0 when there is none of that name and kind.
    #[napi(catch_unwind)]
    pub fn find(&self, name: String, kind: u32) -> Result<u32> {
        if self.btf.is_null() {
            return Err(closed("BTF"));
        }
        let name = c_string(&name)?;
        let id = unsafe { bpf::btf__find_by_name_kind(self.btf, name.as_ptr(), kind) };
        if id == -libc::ENOENT {
            return Ok(0);
        }
        Ok(check(id, "find type")? as u32)
    }

    /// The names of the members of a struct or union, anonymous ones left out.
    #[napi(catch_unwind)]
    pub fn members(&self, id: u32) -> Result<Vec<String>> {
        if self.btf.is_null() {
            return Err(closed("BTF"));
        }
        let Some(kind) = (unsafe { bpf::btf__type_by_id(self.btf, id).as_ref() }) else {
            return Ok(Vec::new());
        };
        let number = (kind.info >> 24) & 0x1f;
        if number != bpf::BTF_KIND_STRUCT && number != bpf::BTF_KIND_UNION {
            return Ok(Vec::new());
        }
        let first = unsafe { std::ptr::from_ref(kind).add(1).cast::<bpf::btf_member>() };
        let names = (0..(kind.info & 0xffff) as usize).map(|index| unsafe {
            let member = &*first.add(index);
            string_at(bpf::btf__name_by_offset(self.btf, member.name_off))
        });
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.release();
    }
}

/// Loads `r0 = 0; exit`; the descriptor, or the errno of the refusal.
fn load_nothing(
    kind: u32,
    attach_type: u32,
    btf_id: u32,
    flags: u32,
) -> std::result::Result<OwnedFd, i32> {
    let instructions = [
        bpf::bpf_insn {
            code: 0xb7,
            ..Default::default()
        },
        bpf::bpf_insn {
            code: 0x95,
            ..Default::default()
        },
    ];
    let mut options = bpf::bpf_prog_load_opts {
        sz: size_of::<bpf::bpf_prog_load_opts>() as bpf::size_t,
        expected_attach_type: attach_type,
        attach_btf_id: btf_id,
        prog_flags: flags,
        ..Default::default()
    };
    let fd = unsafe {
        bpf::bpf_prog_load(
            kind,
            c"probe".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as bpf::size_t,
            &mut options,
        )
    };
    if fd < 0 {
        return Err(-fd);
    }
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads an empty program as a BTF tracepoint; 0 or the errno of the refusal.
#[napi(catch_unwind)]
pub fn try_tracing(btf_id: u32) -> i32 {
    try_load(bpf::BPF_PROG_TYPE_TRACING, bpf::BPF_TRACE_RAW_TP, btf_id, 0)
}

/// Loads an empty program of a type and attach type; 0 or the errno of the refusal.
#[napi(catch_unwind)]
pub fn try_load(kind: u32, attach_type: u32, btf_id: u32, flags: u32) -> i32 {
    log::start();
    load_nothing(kind, attach_type, btf_id, flags)
        .err()
        .unwrap_or(0)
}

/// Asks for a link that cannot come to be, so that the errno tells whether the kernel knows its
/// kind: `tcx` and `netkit` on no interface, `uprobe_multi` on a directory, `kprobe_multi` on no function.
#[napi(catch_unwind)]
pub fn try_link(name: String) -> i32 {
    log::start();
    let (kind, attach_type) = match name.as_str() {
        "tcx" => (bpf::BPF_PROG_TYPE_SCHED_CLS, bpf::BPF_TCX_INGRESS),
        "netkit" => (bpf::BPF_PROG_TYPE_SCHED_CLS, bpf::BPF_NETKIT_PRIMARY),
        "kprobe_multi" => (bpf::BPF_PROG_TYPE_KPROBE, bpf::BPF_TRACE_KPROBE_MULTI),
        "uprobe_session" => (bpf::BPF_PROG_TYPE_KPROBE, bpf::BPF_TRACE_UPROBE_SESSION),
        _ => (bpf::BPF_PROG_TYPE_KPROBE, bpf::BPF_TRACE_UPROBE_MULTI),
    };
    let program = match load_nothing(kind, attach_type, 0, 0) {
        Ok(program) => program,
        Err(errno) => return errno,
    };
    let mut options = bpf::bpf_link_create_opts {
        sz: size_of::<bpf::bpf_link_create_opts>() as bpf::size_t,
        ..Default::default()
    };
    let offset: std::os::raw::c_ulong = 0;
    let mut target = 0;
    match name.as_str() {
        "tcx" | "netkit" => target = i32::MAX,
        "kprobe_multi" => {}
        _ => {
            options.__bindgen_anon_1.uprobe_multi.path = c"/".as_ptr();
            options.__bindgen_anon_1.uprobe_multi.offsets = &offset;
            options.__bindgen_anon_1.uprobe_multi.cnt = 1;
        }
    }
    let fd = unsafe { bpf::bpf_link_create(program.as_raw_fd(), target, attach_type, &options) };
    if fd < 0 {
        return -fd;
    }
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    0
}

/// 1: supported, 0: not, negative: `-errno` of a probe that could not be made.
#[napi(catch_unwind)]
pub fn probe_program_type(kind: u32) -> i32 {
    log::start();
    unsafe { bpf::libbpf_probe_bpf_prog_type(kind, std::ptr::null()) }
}

#[napi(catch_unwind)]
pub fn probe_map_type(kind: u32) -> i32 {
    log::start();
    unsafe { bpf::libbpf_probe_bpf_map_type(kind, std::ptr::null()) }
}

#[napi(catch_unwind)]
pub fn probe_helper(program_kind: u32, helper: u32) -> i32 {
    log::start();
    unsafe { bpf::libbpf_probe_bpf_helper(program_kind, helper, std::ptr::null()) }
}

#[napi(catch_unwind)]
pub fn possible_cpus() -> Result<u32> {
    log::start();
    Ok(check(unsafe { bpf::libbpf_num_possible_cpus() }, "possible CPUs")? as u32)
}

/// Run time statistics are on for as long as this is open.
#[napi]
pub struct NativeStats {
    fd: Option<OwnedFd>,
}

#[napi]
impl NativeStats {
    #[napi(factory, catch_unwind)]
    pub fn enable() -> Result<NativeStats> {
        let fd = check(
            unsafe { bpf::bpf_enable_stats(bpf::BPF_STATS_RUN_TIME) },
            "enable stats",
        )?;
        Ok(NativeStats {
            fd: Some(unsafe { OwnedFd::from_raw_fd(fd) }),
        })
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.fd = None;
    }
}
