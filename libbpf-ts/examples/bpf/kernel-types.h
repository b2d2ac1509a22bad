/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The few kernel types that the examples read; the offsets come from the running kernel's BTF. A
 * vmlinux.h (`bpftool btf dump file /sys/kernel/btf/vmlinux format c`) does as well. */
#pragma once
#include <stdbool.h>
#include <linux/bpf.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct {
	int tgid;
	struct task_struct *real_parent;
	char comm[16];
};
struct linux_binprm {
	const char *filename;
};
struct ns_common {
	unsigned int inum;
};
struct net {
	struct ns_common ns;
};
typedef struct {
	struct net *net;
} possible_net_t;
struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	__u16 skc_num;
	possible_net_t skc_net;
};
struct sock {
	struct sock_common __sk_common;
};
#pragma clang attribute pop
