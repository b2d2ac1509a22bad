// SPDX-License-Identifier: Apache-2.0
//! What libbpf prints goes into a buffer of the calling thread, not to stderr. An error takes it.

use std::cell::RefCell;
use std::os::raw::{c_char, c_int, c_void};

use libbpf_sys::{__va_list_tag, libbpf_print_level, libbpf_set_print, LIBBPF_DEBUG};
use napi_derive::napi;

/// What is kept of one message, and of all of them. Verifier logs can have hundreds of MiB, of which
/// the beginning names the program and the end says what is wrong.
const HEAD_BYTES_MAX: usize = 64 << 10;
const TAIL_BYTES_MAX: usize = 16 << 20;
const LOG_BYTES_MAX: usize = 20 << 20;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    fn vasprintf(out: *mut *mut c_char, format: *const c_char, args: *mut __va_list_tag) -> c_int;
}

/// The two parts of a message that are kept: whole lines, where it is too long.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    if bytes.len() <= HEAD_BYTES_MAX + TAIL_BYTES_MAX {
        return (bytes, &[]);
    }
    let line_end = |from: usize| bytes[from..].iter().position(|byte| *byte == b'\n');
    let head = HEAD_BYTES_MAX + line_end(HEAD_BYTES_MAX).map_or(0, |at| at + 1);
    let start = bytes.len() - TAIL_BYTES_MAX;
    let tail = start + line_end(start).map_or(0, |at| at + 1);
    (&bytes[..head], &bytes[tail.max(head)..])
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
        let (head, tail) = split(bytes);
        if log.len() + head.len() + tail.len() <= LOG_BYTES_MAX {
            log.extend_from_slice(head);
            log.extend_from_slice(tail);
        }
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
