// SPDX-License-Identifier: Apache-2.0
//! One function a kind of hook, by family; TypeScript chooses among them and checks what the user
//! gave.

use std::os::fd::{FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi::bindgen_prelude::BigInt;

use crate::error::{check, check_pointer, errno, Result};
use crate::link::NativeLink;

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

mod iterator;
mod kernel;
mod network;
mod run;
mod user;

fn number(value: &BigInt) -> u64 {
    value.get_u64().1
}

fn link_of(link: *mut bpf::bpf_link, what: &str) -> Result<NativeLink> {
    Ok(NativeLink::new(check_pointer(link, what)?))
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
