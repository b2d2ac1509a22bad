// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Programs that the verifier must refuse, one that names a hook that does not exist, a harmless one. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("tp_btf/sys_enter")
int BPF_PROG(reads_wild_memory, struct pt_regs *regs, long id)
{
	return *(volatile int *)id;
}

SEC("?tp_btf/no_such_tracepoint")
int BPF_PROG(no_such_hook, long id)
{
	return 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(too_long, struct pt_regs *regs, long id)
{
	/* The verifier walks through every round, and gives up after a million instructions. */
	for (__u32 round = 0; round < 1 << 20; round++)
		asm volatile("goto +0; goto +0; goto +0; goto +0; goto +0; goto +0; goto +0; goto +0");
	return 0;
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(harmless, struct pt_regs *regs, long id)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
