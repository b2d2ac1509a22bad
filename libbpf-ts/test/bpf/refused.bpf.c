// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* One program that the verifier must refuse, and two that name hooks that do not exist. */
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
int BPF_PROG(harmless, struct pt_regs *regs, long id)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
