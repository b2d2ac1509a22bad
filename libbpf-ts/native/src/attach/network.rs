// SPDX-License-Identifier: Apache-2.0
//! Hooks on the path of packets and sockets, and cgroups.

// `options!` fills what a caller leaves out, also where nothing is left.
#![allow(clippy::needless_update)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys as bpf;
use napi_derive::napi;

use super::{duplicate, link_of, set_socket_option};
use crate::error::{check, errno, Result};
use crate::link::NativeLink;
use crate::log;
use crate::object::NativeObject;

const FLAG_BEFORE: u32 = 1 << 3;
const FLAG_AFTER: u32 = 1 << 4;

fn order_flag(order: &str) -> u32 {
    match order {
        "first" => FLAG_BEFORE,
        "last" => FLAG_AFTER,
        _ => 0,
    }
}

#[napi]
impl NativeObject {
    #[napi(catch_unwind)]
    pub fn attach_cgroup(&self, program: String, fd: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let link = match order_flag(&order) {
            0 => unsafe { bpf::bpf_program__attach_cgroup(program, fd) },
            flags => {
                let options = options!(bpf_cgroup_opts { flags: flags });
                unsafe { bpf::bpf_program__attach_cgroup_opts(program, fd, &options) }
            }
        };
        link_of(link, "attach cgroup")
    }

    #[napi(catch_unwind)]
    pub fn attach_tcx(&self, program: String, index: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_tcx_opts {
            flags: order_flag(&order)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_tcx(program, index, &options) },
            "attach tcx",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_netkit(&self, program: String, index: i32, order: String) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_netkit_opts {
            flags: order_flag(&order)
        });
        link_of(
            unsafe { bpf::bpf_program__attach_netkit(program, index, &options) },
            "attach netkit",
        )
    }

    #[napi(catch_unwind)]
    pub fn attach_netfilter(
        &self,
        program: String,
        family: u32,
        hook: u32,
        priority: i32,
        flags: u32,
    ) -> Result<NativeLink> {
        let (program, _) = self.loaded_program_fd(&program)?;
        log::start();
        let options = options!(bpf_netfilter_opts {
            pf: family,
            hooknum: hook,
            priority: priority,
            flags: flags,
        });
        link_of(
            unsafe { bpf::bpf_program__attach_netfilter(program, &options) },
            "attach netfilter",
        )
    }

    /// A link of any kind whose target is a number and that needs no more than flags: XDP
    /// (interface), sk_lookup (network namespace), sk_msg and sk_skb (map).
    #[napi(catch_unwind)]
    pub fn attach_target(&self, program: String, target: i32, flags: u32) -> Result<NativeLink> {
        let (program, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let kind = unsafe { bpf::bpf_program__expected_attach_type(program) };
        let options = options!(bpf_link_create_opts { flags: flags });
        let link = check(
            unsafe { bpf::bpf_link_create(fd, target, kind, &options) },
            "create link",
        )?;
        Ok(NativeLink::from_fd(unsafe { OwnedFd::from_raw_fd(link) }))
    }

    /// The attachment without a link, for kernels that have none for this kind (`BPF_PROG_ATTACH`).
    #[napi(catch_unwind)]
    pub fn attach_direct(&self, program: String, target: i32) -> Result<NativeLink> {
        let (program, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let kind = unsafe { bpf::bpf_program__expected_attach_type(program) };
        let target = duplicate(target)?;
        check(
            unsafe { bpf::bpf_prog_attach(fd, target.as_raw_fd(), kind, 0) },
            "attach",
        )?;
        Ok(NativeLink::from_direct(duplicate(fd)?, target, kind))
    }

    /// `SO_ATTACH_BPF` on a socket of this process.
    #[napi(catch_unwind)]
    pub fn attach_socket(&self, program: String, socket: i32) -> Result<NativeLink> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        let socket = duplicate(socket)?;
        set_socket_option(socket.as_raw_fd(), libc::SO_ATTACH_BPF, fd)?;
        Ok(NativeLink::from_socket(socket))
    }

    /// The classifier on a clsact qdisc, made when it is missing and left there.
    #[napi(catch_unwind)]
    pub fn attach_tc(
        &self,
        program: String,
        index: i32,
        is_egress: bool,
        handle: u32,
        priority: u32,
    ) -> Result<NativeLink> {
        let (_, fd) = self.loaded_program_fd(&program)?;
        log::start();
        let mut hook = options!(bpf_tc_hook {
            ifindex: index,
            attach_point: if is_egress {
                bpf::BPF_TC_EGRESS
            } else {
                bpf::BPF_TC_INGRESS
            },
        });
        let made = unsafe { bpf::bpf_tc_hook_create(&mut hook) };
        if made < 0 && made != -libc::EEXIST {
            return Err(errno(made, "create clsact qdisc"));
        }
        let mut options = options!(bpf_tc_opts {
            prog_fd: fd,
            handle: handle,
            priority: priority,
        });
        check(
            unsafe { bpf::bpf_tc_attach(&hook, &mut options) },
            "attach tc",
        )?;
        Ok(NativeLink::from_tc(hook, options.handle, options.priority))
    }
}
