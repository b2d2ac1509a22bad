// SPDX-License-Identifier: Apache-2.0
//! Hooks in the kernel: tracepoints, functions, samples, and functions of other BPF programs.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use std::os::fd::AsRawFd;

use libbpf_sys as bpf;
use napi::bindgen_prelude::{BigInt, BigUint64ArraySlice};
use napi_derive::napi;

use super::{link_of, number};
use crate::error::{argument, c_string, Result};
use crate::link::NativeLink;
use crate::log;
use crate::object::NativeObject;
use crate::perf::open_event;

#[napi(object)]
pub struct PerfEventOptions {
    #[napi(js_name = "type")]
    pub kind: u32,
    pub config: f64,
    /// Samples a second when `is_frequency`, else events from sample to sample.
    pub period: f64,
    pub is_frequency: bool,
    pub pid: i32,
    pub cpu: i32,
    pub cookie: BigInt,
}

#[napi]
impl NativeObject {
    #[napi(catch_unwind)]
    pub fn attach_tracepoint(
        &self,
        program: String,
        category: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let (category, name) = (c_string(&category)?, c_string(&name)?);
        log::start();
        let options = options!(bpf_tracepoint_opts {
            bpf_cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_tracepoint_opts(
                    program,
                    category.as_ptr(),
                    name.as_ptr(),
                    &options,
                )
            },
            "attach tracepoint",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_raw_tracepoint(
        &self,
        program: String,
        name: String,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let name = c_string(&name)?;
        log::start();
        let mut options = options!(bpf_raw_tracepoint_opts {
            cookie: number(&cookie)
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_raw_tracepoint_opts(program, name.as_ptr(), &mut options)
            },
            "attach raw tracepoint",
        )
    }

    /// `tp_btf`, `fentry`, `fexit`, `fmod_ret`, `lsm`: the target was fixed at load.
    #[napi(catch_unwind)]
    pub fn attach_trace(&self, program: String, cookie: BigInt) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_trace_opts {
            cookie: number(&cookie)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_trace_opts(program, &options) },
            "attach trace",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_kprobe(
        &self,
        program: String,
        function: String,
        offset: u32,
        is_return: bool,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let function = c_string(&function)?;
        log::start();
        let options = options!(bpf_kprobe_opts {
            bpf_cookie: number(&cookie),
            offset: offset as bpf::size_t,
            retprobe: is_return,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_kprobe_opts(program, function.as_ptr(), &options) },
            "attach kprobe",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_ksyscall(
        &self,
        program: String,
        syscall: String,
        is_return: bool,
        cookie: BigInt,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let syscall = c_string(&syscall)?;
        log::start();
        let options = options!(bpf_ksyscall_opts {
            bpf_cookie: number(&cookie),
            retprobe: is_return,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_ksyscall(program, syscall.as_ptr(), &options) },
            "attach ksyscall",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_kprobe_multi(
        &self,
        program: String,
        functions: Vec<String>,
        cookies: BigUint64ArraySlice<'_>,
        is_return: bool,
        is_session: bool,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        if cookies.len() != functions.len() {
            return Err(argument("functions and cookies differ in number"));
        }
        let names = functions
            .iter()
            .map(|name| c_string(name))
            .collect::<Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        log::start();
        let options = options!(bpf_kprobe_multi_opts {
            syms: pointers.as_mut_ptr(),
            cookies: cookies.as_ptr(),
            cnt: names.len() as bpf::size_t,
            retprobe: is_return,
            session: is_session,
        });
        link_of(
            unsafe {
                bpf::bpf_program__attach_kprobe_multi_opts(program, std::ptr::null(), &options)
            },
            "attach kprobe.multi",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_freplace(
        &self,
        program: String,
        target: i32,
        function: String,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        let function = c_string(&function)?;
        log::start();
        link_of(
            unsafe { bpf::bpf_program__attach_freplace(program, target, function.as_ptr()) },
            "attach freplace",
        )
    }

    /// One event on one CPU; the link owns it.
    #[napi(catch_unwind)]
    pub fn attach_perf_event(
        &self,
        program: String,
        wanted: PerfEventOptions,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let mut attributes = bpf::perf_event_attr {
            type_: wanted.kind,
            config: wanted.config as u64,
            ..Default::default()
        };
        attributes.__bindgen_anon_1.sample_period = wanted.period as u64;
        attributes.set_freq(u64::from(wanted.is_frequency));
        attributes.set_disabled(1);
        let event = open_event(&mut attributes, wanted.pid, wanted.cpu)?;
        let options = options!(bpf_perf_event_opts {
            bpf_cookie: number(&wanted.cookie)
        });
        let link = unsafe {
            bpf::bpf_program__attach_perf_event_opts(program, event.as_raw_fd(), &options)
        };
        let link = link_of(link, "attach perf event")?;
        // libbpf closes the event with the link.
        std::mem::forget(event);
        Ok(link)
    }

    /// Registers the operations that a `struct_ops` map holds.
    #[napi(catch_unwind)]
    pub fn attach_struct_ops(&self, map: String) -> Result<NativeLink> {
        let map = self.map_pointer(&map)?;
        log::start();
        link_of(
            unsafe { bpf::bpf_map__attach_struct_ops(map) },
            "attach struct_ops",
        )
    }
}
