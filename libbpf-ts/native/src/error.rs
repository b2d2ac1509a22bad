// SPDX-License-Identifier: Apache-2.0
//! Errors as JavaScript sees them: `code` is a decimal errno or one of the words below, `message`
//! is the operation that failed. `src/native.ts` makes typed errors of them.

use std::os::raw::c_int;

pub type Failure = napi::Error<String>;
pub type Result<T> = std::result::Result<T, Failure>;

/// The handle was closed before the call.
pub fn closed(what: &str) -> Failure {
    Failure::new("closed".to_owned(), what)
}

/// A buffer or a number that the call cannot take.
pub fn argument(what: impl Into<String>) -> Failure {
    Failure::new("argument".to_owned(), what.into())
}

/// A program, map or variable that the object does not have.
pub fn unknown(what: impl Into<String>) -> Failure {
    Failure::new("unknown".to_owned(), what.into())
}

pub fn errno(number: c_int, what: impl Into<String>) -> Failure {
    Failure::new(number.abs().to_string(), what.into())
}

pub fn last_errno() -> c_int {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// libbpf returns `-errno`; the few calls that return -1 set `errno` as well.
pub fn check(result: c_int, what: &str) -> Result<c_int> {
    if result >= 0 {
        return Ok(result);
    }
    Err(errno(
        if result == -1 { last_errno() } else { result },
        what,
    ))
}

/// libbpf returns null and sets `errno`.
pub fn check_pointer<T>(pointer: *mut T, what: &str) -> Result<*mut T> {
    if pointer.is_null() {
        return Err(errno(last_errno(), what));
    }
    Ok(pointer)
}

pub fn c_string(text: &str) -> Result<std::ffi::CString> {
    std::ffi::CString::new(text).map_err(|_| argument("a name must not contain a NUL character"))
}

/// # Safety
/// `pointer` is null or a NUL-terminated string that lives through the call.
pub unsafe fn string_at(pointer: *const std::os::raw::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    unsafe { std::ffi::CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}
