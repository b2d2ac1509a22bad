// SPDX-License-Identifier: GPL-2.0
/* For the tests: which threads are marked in the kernel, as a capturing program sees it. */
#include "kernel-task.h"
#include <bpf/bpf_helpers.h>
#include "selection.bpf.h"

struct mark {
	__u32 tgid;
	__u32 tid;
	__u32 target;
	__u32 pending;
};

SEC("iter/task")
int list_marks(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct selection *selection;
	struct mark mark = {};

	if (!task)
		return 0;
	selection = bpf_task_storage_get(&selected_tasks, task, 0, 0);
	if (!selection)
		return 0;
	mark.tgid = task->tgid;
	mark.tid = task->pid;
	mark.target = selection->target;
	mark.pending = selection->pending;
	bpf_seq_write(context->meta->seq, &mark, sizeof(mark));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
