// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Writes the thread ids of one process, 4 bytes each. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 target_pid;

SEC("iter/task")
int list_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 tid;

	if (!task || task->tgid != target_pid)
		return 0;
	tid = task->pid;
	bpf_seq_write(ctx->meta->seq, &tid, sizeof(tid));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
