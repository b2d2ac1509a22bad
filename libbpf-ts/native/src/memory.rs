// SPDX-License-Identifier: Apache-2.0
//! Kernel memory as external ArrayBuffers.

use std::os::raw::c_void;

use napi::bindgen_prelude::{FromNapiValue, ToNapiValue};
use napi::sys;
use napi_derive::napi;

use crate::error::{errno, last_errno, Failure, Result};

struct Mapping {
    start: *mut c_void,
    bytes: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}

/// An ArrayBuffer over a mapping; the memory is unmapped when the buffer is detached or collected.
pub struct MappedBuffer(Mapping);

impl MappedBuffer {
    pub fn map(fd: i32, offset: usize, bytes: usize, writable: bool) -> Result<MappedBuffer> {
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                fd,
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(errno(last_errno(), "mmap"));
        }
        Ok(MappedBuffer(Mapping { start, bytes }))
    }
}

unsafe extern "C" fn unmap(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    drop(unsafe { Box::from_raw(hint.cast::<Mapping>()) });
}

impl ToNapiValue for MappedBuffer {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> napi::Result<sys::napi_value> {
        let mapping = Box::new(value.0);
        let (start, bytes) = (mapping.start, mapping.bytes);
        let hint = Box::into_raw(mapping);
        let mut result = std::ptr::null_mut();
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env,
                start,
                bytes,
                Some(unmap),
                hint.cast(),
                &mut result,
            )
        };
        if status != sys::Status::napi_ok {
            drop(unsafe { Box::from_raw(hint) });
            return Err(napi::Error::new(
                napi::Status::from(status),
                "this runtime does not allow external ArrayBuffers",
            ));
        }
        Ok(result)
    }
}

/// Any JavaScript value, passed through untouched.
pub struct RawValue(sys::napi_value);

impl FromNapiValue for RawValue {
    unsafe fn from_napi_value(_env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        Ok(RawValue(value))
    }
}

/// Detaches an ArrayBuffer: its views become empty and its memory is unmapped.
#[napi(catch_unwind, ts_args_type = "buffer: ArrayBuffer")]
pub fn detach_buffer(env: napi::Env, buffer: RawValue) -> Result<()> {
    let status = unsafe { sys::napi_detach_arraybuffer(env.raw(), buffer.0) };
    if status != sys::Status::napi_ok {
        return Err(Failure::new(
            "argument".to_owned(),
            "not a detachable ArrayBuffer",
        ));
    }
    Ok(())
}

#[napi(catch_unwind)]
pub fn page_bytes() -> u32 {
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u32 }
}
