// SPDX-License-Identifier: Apache-2.0
//! Netlink sockets, in any network namespace: Node has none.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;

use crate::error::{argument, c_string, check, closed, errno, last_errno, Result};

/// The longest datagram that the kernel makes of a dump (`NLMSG_GOODSIZE` is at most that).
const DATAGRAM_BYTES_MAX: usize = 32 * 1024;

#[napi]
pub struct NativeNetlink {
    fd: Option<OwnedFd>,
}

#[napi]
impl NativeNetlink {
    /// Opens and binds a socket of one netlink family. `groups` is a mask of multicast groups 1 to
    /// 32; `namespace` a file such as `/proc/PID/ns/net`, the caller's own without it.
    #[napi(factory, catch_unwind)]
    pub fn open(
        family: i32,
        groups: u32,
        receive_bytes: u32,
        namespace: Option<String>,
    ) -> Result<NativeNetlink> {
        let fd = match namespace {
            None => open_here(family, groups, receive_bytes)?,
            // A thread of its own: the namespace of the caller's thread stays as it is.
            Some(path) => std::thread::spawn(move || open_in(&path, family, groups, receive_bytes))
                .join()
                .map_err(|_| argument("the thread that opens the socket panicked"))??,
        };
        Ok(NativeNetlink { fd: Some(fd) })
    }

    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        let fd = self.fd.as_ref().ok_or_else(|| closed("netlink socket"))?;
        Ok(fd.as_raw_fd())
    }

    /// Sends messages to the kernel.
    #[napi(catch_unwind)]
    pub fn send(&self, messages: &[u8]) -> Result<()> {
        let fd = self.fd()?;
        // SAFETY: the buffer lives through the call; without an address the kernel is the peer.
        let sent = unsafe {
            libc::send(
                fd,
                messages.as_ptr().cast(),
                messages.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if sent < 0 {
            return Err(errno(last_errno(), "send to netlink"));
        }
        Ok(())
    }

    /// Fills the buffer with datagrams, one behind the other, as long as there are any and another
    /// fits. The bytes received, or -1 minus that when the kernel then said that it dropped messages
    /// for want of room (ENOBUFS).
    #[napi(catch_unwind)]
    pub fn receive(&self, mut into: Uint8ArraySlice<'_>) -> Result<i32> {
        let fd = self.fd()?;
        let buffer = unsafe { into.as_mut() };
        if buffer.len() < DATAGRAM_BYTES_MAX {
            return Err(argument(format!(
                "a buffer of {} bytes, it takes {DATAGRAM_BYTES_MAX}",
                buffer.len()
            )));
        }
        let mut filled = 0usize;
        while buffer.len() - filled >= DATAGRAM_BYTES_MAX {
            let room = &mut buffer[filled..];
            // SAFETY: the room is the rest of the caller's buffer.
            let got =
                unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
            if got > 0 {
                // Messages are aligned to four bytes, also across datagrams.
                filled += (got as usize + 3) & !3;
                continue;
            }
            match if got == 0 { libc::EAGAIN } else { last_errno() } {
                libc::EAGAIN => break,
                libc::EINTR => continue,
                // The kernel tells it once: it must not get lost behind what came before.
                libc::ENOBUFS => return Ok(-1 - filled as i32),
                number => return Err(errno(number, "receive from netlink")),
            }
        }
        Ok(filled as i32)
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.fd = None;
    }
}

fn open_in(path: &str, family: i32, groups: u32, receive_bytes: u32) -> Result<OwnedFd> {
    let path = c_string(path)?;
    // SAFETY: a NUL-terminated path.
    let namespace = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let namespace = unsafe { OwnedFd::from_raw_fd(check(namespace, "open network namespace")?) };
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    check(entered, "enter network namespace")?;
    open_here(family, groups, receive_bytes)
}

fn open_here(family: i32, groups: u32, receive_bytes: u32) -> Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, family) };
    let fd = unsafe { OwnedFd::from_raw_fd(check(fd, "open netlink socket")?) };
    let bytes = receive_bytes as libc::c_int;
    // Beyond the system's limit where that is allowed, within it otherwise.
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        // SAFETY: a local of the length that is given.
        let result = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result == 0 {
            break;
        }
    }
    // SAFETY: all zero is a valid address: the kernel chooses the port.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    let bound = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_nl>() as libc::socklen_t,
        )
    };
    check(bound, "bind netlink socket")?;
    Ok(fd)
}
