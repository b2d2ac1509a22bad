// SPDX-License-Identifier: Apache-2.0
//! Iterators over what the kernel holds.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use libbpf_sys as bpf;
use napi_derive::napi;

use super::link_of;
use crate::error::Result;
use crate::link::NativeLink;
use crate::log;
use crate::map::NativeMap;
use crate::object::NativeObject;

#[napi]
impl NativeObject {
    #[napi(catch_unwind)]
    pub fn attach_map_iterator(&self, program: String, map: &NativeMap) -> Result<NativeLink> {
        let mut info = bpf::bpf_iter_link_info::default();
        info.map.map_fd = map.raw_fd()? as u32;
        self.attach_iterator(&program, info)
    }

    /// `order`: `BPF_CGROUP_ITER_*` of `linux/bpf.h`.
    #[napi(catch_unwind)]
    pub fn attach_cgroup_iterator(
        &self,
        program: String,
        fd: i32,
        order: u32,
    ) -> Result<NativeLink> {
        let mut info = bpf::bpf_iter_link_info::default();
        info.cgroup.cgroup_fd = fd as u32;
        info.cgroup.order = order;
        self.attach_iterator(&program, info)
    }
}

impl NativeObject {
    fn attach_iterator(
        &self,
        program: &str,
        mut info: bpf::bpf_iter_link_info,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(program)?;
        log::start();
        let options = options!(bpf_iter_attach_opts {
            link_info: &mut info,
            link_info_len: size_of::<bpf::bpf_iter_link_info>() as u32,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_iter(program, &options) },
            "attach iterator",
        )
    }
}
