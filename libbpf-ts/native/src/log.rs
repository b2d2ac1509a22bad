// SPDX-License-Identifier: Apache-2.0
//! What libbpf prints goes into a buffer of the calling thread, not to stderr. An error takes it.

use std::cell::RefCell;
use std::os::raw::{c_char, c_int, c_void};

use libbpf_sys::{__va_list_tag, libbpf_print_level, libbpf_set_print, LIBBPF_DEBUG};
use napi_derive::napi;

/// libbpf's verifier log is at most 16 MiB; what is printed after the bound is left out.
const LOG_BYTES_MAX: usize = 20 << 20;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    fn vasprintf(out: *mut *mut c_char, format: *const c_char, args: *mut __va_list_tag) -> c_int;
}

unsafe extern "C" fn collect(
    level: libbpf_print_level,
    format: *const c_char,
    args: *mut __va_list_tag,
) -> c_int {
    if level >= LIBBPF_DEBUG {
        return 0;
    }
    let mut text: *mut c_char = std::ptr::null_mut();
    let length = unsafe { vasprintf(&mut text, format, args) };
    if length < 0 || text.is_null() {
        return 0;
    }
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length as usize) };
    LOG.with_borrow_mut(|log| {
        let room = LOG_BYTES_MAX.saturating_sub(log.len());
        log.extend_from_slice(&bytes[..bytes.len().min(room)]);
    });
    unsafe { libc::free(text.cast::<c_void>()) };
    length
}

/// A panic becomes an exception, so its text belongs there and not on stderr.
#[napi_derive::module_init]
fn install() {
    unsafe { libbpf_set_print(Some(collect)) };
    std::panic::set_hook(Box::new(|_| {}));
}

/// Called before each group of libbpf calls whose failure would want a log.
pub fn start() {
    LOG.with_borrow_mut(Vec::clear);
}

/// What libbpf printed on this thread since the last open, load or attach; the buffer is empty after.
#[napi(catch_unwind)]
pub fn take_log() -> String {
    let bytes = LOG.take();
    String::from_utf8_lossy(&bytes).into_owned()
}
