// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* A record for each program that is started. */
#include "bpf/kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Only programs started by this process; 0 for all. */
const volatile __u32 only_parent;

struct exec {
	__u32 pid;
	__u32 parent;
	char comm[16];
	char filename[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} execs SEC(".maps");
const struct exec *execs_record __attribute__((unused));
__u64 lost;

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	__u32 parent = task->real_parent->tgid;
	struct exec *exec;

	if (only_parent && parent != only_parent)
		return 0;
	exec = bpf_ringbuf_reserve(&execs, sizeof(*exec), 0);
	if (!exec) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	exec->pid = task->tgid;
	exec->parent = parent;
	bpf_get_current_comm(exec->comm, sizeof(exec->comm));
	bpf_probe_read_kernel_str(exec->filename, sizeof(exec->filename), program->filename);
	bpf_ringbuf_submit(exec, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
