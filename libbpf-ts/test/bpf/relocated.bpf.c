// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Reads a kernel structure from a hook that needs no kernel BTF: any BTF file can relocate it. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

const volatile __u32 target_pid;
volatile __u64 seen_pid;

SEC("raw_tp/sys_enter")
int read_task(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (bpf_get_current_pid_tgid() >> 32 == target_pid)
		seen_pid = BPF_CORE_READ(task, tgid);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
