// SPDX-License-Identifier: Apache-2.0
//! Perf events: to sample with, and as the buffers behind a perf event array.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi_derive::napi;

use crate::error::{check, closed, errno, last_errno, Result};
use crate::memory::MappedBuffer;

const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;

pub fn open_event(attributes: &mut bpf::perf_event_attr, pid: i32, cpu: i32) -> Result<OwnedFd> {
    attributes.size = size_of::<bpf::perf_event_attr>() as u32;
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(attributes),
            pid,
            cpu,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(errno(last_errno(), "open perf event"));
    }
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The buffer of one CPU that `bpf_perf_event_output` writes to.
#[napi]
pub struct NativePerfBuffer {
    fd: Option<OwnedFd>,
}

#[napi]
impl NativePerfBuffer {
    /// Those who wait are woken up each time that so many more bytes have been written.
    #[napi(factory, catch_unwind)]
    pub fn open(cpu: i32, wake_up_bytes: u32) -> Result<NativePerfBuffer> {
        let mut attributes = bpf::perf_event_attr {
            type_: PERF_TYPE_SOFTWARE,
            config: PERF_COUNT_SW_BPF_OUTPUT,
            sample_type: PERF_SAMPLE_RAW,
            ..Default::default()
        };
        attributes.__bindgen_anon_1.sample_period = 1;
        attributes.set_watermark(1);
        attributes.__bindgen_anon_2.wakeup_watermark = wake_up_bytes;
        let fd = open_event(&mut attributes, -1, cpu)?;
        Ok(NativePerfBuffer { fd: Some(fd) })
    }

    #[napi(getter, catch_unwind)]
    pub fn fd(&self) -> Result<i32> {
        let fd = self.fd.as_ref().ok_or_else(|| closed("perf buffer"))?;
        Ok(fd.as_raw_fd())
    }

    #[napi(catch_unwind, ts_return_type = "ArrayBuffer")]
    pub fn mmap(&self, bytes: u32) -> Result<MappedBuffer> {
        MappedBuffer::map(self.fd()?, 0, bytes as usize, true)
    }

    #[napi(catch_unwind)]
    pub fn enable(&self) -> Result<()> {
        const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
        let result = unsafe { libc::ioctl(self.fd()?, PERF_EVENT_IOC_ENABLE as _, 0) };
        check(result, "enable perf event")?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.fd = None;
    }
}
