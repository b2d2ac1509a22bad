// SPDX-License-Identifier: Apache-2.0
//! Hooks in programs and libraries of user space.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use libbpf_sys as bpf;
use napi::bindgen_prelude::{BigInt, BigUint64ArraySlice};
use napi_derive::napi;

use super::{link_of, number};
use crate::error::{argument, c_string, Result};
use crate::link::NativeLink;
use crate::log;
use crate::object::NativeObject;

#[napi(object)]
pub struct UprobeOptions {
    pub path: String,
    /// -1: every process, 0: this one.
    pub pid: i32,
    pub offset: f64,
    pub reference_counter_offset: f64,
    pub cookie: BigInt,
    pub is_return: bool,
}

#[napi(object)]
pub struct UprobeMultiOptions {
    pub path: String,
    pub pid: i32,
    pub is_return: bool,
    pub is_session: bool,
}

#[napi]
impl NativeObject {
    #[napi(catch_unwind)]
    pub fn attach_uprobe(&self, program: String, wanted: UprobeOptions) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let path = c_string(&wanted.path)?;
        log::start();
        let options = options!(bpf_uprobe_opts {
            ref_ctr_offset: wanted.reference_counter_offset as bpf::size_t,
            bpf_cookie: number(&wanted.cookie),
            retprobe: wanted.is_return,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_uprobe_opts(
                    program,
                    wanted.pid,
                    path.as_ptr(),
                    wanted.offset as bpf::size_t,
                    &options,
                )
            },
            "attach uprobe",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_uprobe_multi(
        &self,
        program: String,
        wanted: UprobeMultiOptions,
        offsets: BigUint64ArraySlice<'_>,
        cookies: BigUint64ArraySlice<'_>,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let path = c_string(&wanted.path)?;
        if offsets.is_empty() || offsets.len() != cookies.len() {
            return Err(argument(
                "offsets and cookies differ in number, or are none",
            ));
        }
        log::start();
        let options = options!(bpf_uprobe_multi_opts {
            offsets: offsets.as_ptr().cast(),
            cookies: cookies.as_ptr(),
            cnt: offsets.len() as bpf::size_t,
            retprobe: wanted.is_return,
            session: wanted.is_session,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_uprobe_multi(
                    program,
                    wanted.pid,
                    path.as_ptr(),
                    std::ptr::null(),
                    &options,
                )
            },
            "attach uprobe.multi",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_usdt(
        &self,
        program: String,
        pid: i32,
        path: String,
        provider: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let (path, provider, name) = (c_string(&path)?, c_string(&provider)?, c_string(&name)?);
        log::start();
        let options = options!(bpf_usdt_opts {
            usdt_cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_usdt(
                    program,
                    pid,
                    path.as_ptr(),
                    provider.as_ptr(),
                    name.as_ptr(),
                    &options,
                )
            },
            "attach USDT",
        )
    }
}
