// SPDX-License-Identifier: Apache-2.0
//! The native half of `libbpf-ts`: libbpf's calls as Node-API functions, and nothing more.
//!
//! Names, defaults, advice and error classes live in TypeScript (`src/`). Every function here runs
//! under `catch_unwind`, so a panic is a JavaScript exception and never an abort.

mod attach;
mod error;
mod link;
mod log;
mod map;
mod memory;
mod netlink;
mod object;
mod perf;
mod probe;
mod symbols;
mod system;
mod variables;
mod waiter;

use napi_derive::napi;

/// Panics on purpose, so that a test can show that a panic becomes an exception.
#[napi(catch_unwind)]
pub fn panic_for_test() -> error::Result<u32> {
    panic!("asked to panic");
}
