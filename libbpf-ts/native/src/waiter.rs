// SPDX-License-Identifier: Apache-2.0
//! Waits in a thread for the kernel to wake up a reader, and tells JavaScript.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread::JoinHandle;

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::Status;
use napi_derive::napi;

use crate::attach::duplicate;
use crate::error::{check, errno, last_errno, Failure, Result};

/// Weak: a waiter does not keep the process alive. One call may be under way: more say nothing new.
type Callback = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

const STOP: u64 = u64::MAX;

#[napi]
pub struct NativeWaiter {
    running: Option<Running>,
}

struct Running {
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

impl Drop for NativeWaiter {
    fn drop(&mut self) {
        self.join();
    }
}

impl NativeWaiter {
    fn join(&mut self) {
        let Some(Running { stop, thread }) = self.running.take() else {
            return;
        };
        let one = 1u64;
        // SAFETY: eight bytes of a local; an eventfd takes them at once.
        unsafe { libc::write(stop.as_raw_fd(), (&raw const one).cast(), 8) };
        let _ = thread.join();
    }
}

#[napi]
impl NativeWaiter {
    /// Calls back when the kernel wakes up those who wait for one of the descriptors; once at first
    /// when there is something already. Edge-triggered: what was not read does not call again.
    #[napi(factory, catch_unwind)]
    pub fn start(fds: Vec<i32>, callback: Function<'_, (), ()>) -> Result<NativeWaiter> {
        let callback: Callback = callback
            .build_threadsafe_function()
            .callee_handled::<false>()
            .weak::<true>()
            .max_queue_size::<1>()
            .build()
            .map_err(|error| Failure::new("argument".to_owned(), error.reason.clone()))?;
        let stop = own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }, "eventfd")?;
        let epoll = own(
            unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) },
            "epoll_create",
        )?;
        // Own copies, so that a descriptor that is closed meanwhile is not another's.
        let watched = fds
            .iter()
            .map(|fd| duplicate(*fd))
            .collect::<Result<Vec<_>>>()?;
        watch(&epoll, &stop, STOP)?;
        for (index, fd) in watched.iter().enumerate() {
            watch(&epoll, fd, index as u64)?;
        }
        let thread = std::thread::Builder::new()
            .name("libbpf-ts wait".to_owned())
            .spawn(move || wait(&epoll, &callback, &watched))
            .map_err(|error| errno(error.raw_os_error().unwrap_or(libc::EAGAIN), "thread"))?;
        Ok(NativeWaiter {
            running: Some(Running { stop, thread }),
        })
    }

    /// Ends the thread; a second call does nothing.
    #[napi(catch_unwind)]
    pub fn stop(&mut self) {
        self.join();
    }
}

fn own(fd: i32, what: &str) -> Result<OwnedFd> {
    Ok(unsafe { OwnedFd::from_raw_fd(check(fd, what)?) })
}

fn watch(epoll: &OwnedFd, fd: &OwnedFd, token: u64) -> Result<()> {
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLET) as u32,
        u64: token,
    };
    let (epoll, fd) = (epoll.as_raw_fd(), fd.as_raw_fd());
    let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) };
    check(result, "epoll_ctl")?;
    Ok(())
}

/// `_watched` lives as long as the thread: closed descriptors would wake nobody up.
fn wait(epoll: &OwnedFd, callback: &Callback, _watched: &[OwnedFd]) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
    loop {
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 16, -1) };
        if count < 0 {
            if last_errno() == libc::EINTR {
                continue;
            }
            return;
        }
        let ready = &events[..count as usize];
        if ready.iter().any(|event| { event.u64 } == STOP) {
            return;
        }
        // A full queue means that a call is on its way already.
        if callback.call((), ThreadsafeFunctionCallMode::NonBlocking) == Status::Closing {
            return;
        }
    }
}
