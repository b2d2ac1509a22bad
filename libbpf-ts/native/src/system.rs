// SPDX-License-Identifier: Apache-2.0
//! The few system calls that attaching and map keys need and Node does not have.

use libbpf_sys as bpf;
use napi_derive::napi;

use crate::error::{c_string, errno, last_errno, Result};

/// A descriptor of a process, the key of task storage; the caller closes it.
#[napi(catch_unwind)]
pub fn pidfd_open(pid: i32, is_thread: bool) -> Result<i32> {
    let flags = if is_thread { libc::O_EXCL } else { 0 };
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    if fd < 0 {
        return Err(errno(last_errno(), "open pidfd"));
    }
    Ok(fd as i32)
}

/// The index of a network interface in the current namespace; 0 when there is none of that name.
#[napi(catch_unwind)]
pub fn interface_index(name: String) -> Result<u32> {
    let name = c_string(&name)?;
    Ok(unsafe { libc::if_nametoindex(name.as_ptr()) })
}

/// Mounts a file system without a device (`bpf`, `tracefs`).
#[napi(catch_unwind)]
pub fn mount(kind: String, path: String) -> Result<()> {
    let (kind, path) = (c_string(&kind)?, c_string(&path)?);
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let result = unsafe {
        libc::mount(
            kind.as_ptr(),
            path.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    if result < 0 {
        return Err(errno(last_errno(), "mount"));
    }
    Ok(())
}

#[napi(catch_unwind)]
pub fn libbpf_version() -> String {
    unsafe { crate::error::string_at(bpf::libbpf_version_string()) }
}
