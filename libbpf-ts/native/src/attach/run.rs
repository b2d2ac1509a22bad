// SPDX-License-Identifier: Apache-2.0
//! Programs without a hook: runs on given input, pins; and the program behind a link.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use libbpf_sys as bpf;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::error::{c_string, check, Result};
use crate::link::NativeLink;
use crate::log;
use crate::object::NativeObject;

#[napi(object)]
pub struct TestRunOptions {
    pub data_out_bytes: u32,
    pub context_out_bytes: u32,
    pub repeat: u32,
    pub flags: u32,
    pub cpu: u32,
}

#[napi(object)]
pub struct TestRunResult {
    pub return_value: u32,
    pub duration_ns: u32,
    pub data: Uint8Array,
    pub context: Uint8Array,
}

#[napi]
impl NativeObject {
    /// Runs a program once or more on given data and context (`BPF_PROG_TEST_RUN`).
    #[napi(catch_unwind)]
    pub fn test_run(
        &self,
        program: String,
        data: Option<&[u8]>,
        context: Option<&[u8]>,
        wanted: TestRunOptions,
    ) -> Result<TestRunResult> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let mut data_out = vec![0u8; wanted.data_out_bytes as usize];
        let mut context_out = vec![0u8; wanted.context_out_bytes as usize];
        // `syscall` programs write into their context, so it must not be the caller's memory.
        let mut context_in = context.map(<[u8]>::to_vec);
        let mut options = options!(bpf_test_run_opts {
            data_in: data.map_or(std::ptr::null(), |bytes| bytes.as_ptr().cast()),
            data_size_in: data.map_or(0, |bytes| bytes.len() as u32),
            ctx_in: context_in
                .as_mut()
                .map_or(std::ptr::null(), |bytes| bytes.as_mut_ptr().cast()),
            ctx_size_in: context.map_or(0, |bytes| bytes.len() as u32),
            repeat: wanted.repeat as i32,
            flags: wanted.flags,
            cpu: wanted.cpu,
        });
        if !data_out.is_empty() {
            options.data_out = data_out.as_mut_ptr().cast();
            options.data_size_out = wanted.data_out_bytes;
        }
        if !context_out.is_empty() {
            options.ctx_out = context_out.as_mut_ptr().cast();
            options.ctx_size_out = wanted.context_out_bytes;
        }
        check(
            unsafe { bpf::bpf_prog_test_run_opts(fd, &mut options) },
            "test run",
        )?;
        data_out.truncate(options.data_size_out as usize);
        context_out.truncate(options.ctx_size_out as usize);
        if context_out.is_empty() {
            context_out = context_in.unwrap_or_default();
        }
        Ok(TestRunResult {
            return_value: options.retval,
            duration_ns: options.duration,
            data: Uint8Array::new(data_out),
            context: Uint8Array::new(context_out),
        })
    }

    #[napi(catch_unwind)]
    pub fn pin_program(&self, program: String, path: String) -> Result<()> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        let path = c_string(&path)?;
        check(unsafe { bpf::bpf_obj_pin(fd, path.as_ptr()) }, "pin")?;
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn program_fd(&self, program: String) -> Result<i32> {
        Ok(self.loaded_program_fd(&program)?.1)
    }

    #[napi(catch_unwind)]
    pub fn update_link(&self, program: String, link: &NativeLink) -> Result<()> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let result = unsafe { bpf::bpf_link_update(link.raw_fd()?, fd, std::ptr::null()) };
        check(result, "update link")?;
        Ok(())
    }
}
