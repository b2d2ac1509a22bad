// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Iterators over tasks (as text), the entries of a map (as records) and cgroups. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 target_pid;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct entry {
	__u64 value;
	__u32 key;
	__u32 unused;
};
/* Puts the struct into the types. */
const struct entry *entry_record __attribute__((unused));

SEC("iter/task")
int print_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == target_pid)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%d %s\n", task->pid, task->comm);
	return 0;
}

SEC("iter/bpf_map_elem")
int list_entries(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;
	struct entry entry = {};

	if (!key || !value)
		return 0;
	entry.key = *key;
	entry.value = *value;
	bpf_seq_write(ctx->meta->seq, &entry, sizeof(entry));
	return 0;
}

SEC("iter/cgroup")
int list_cgroups(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgroup = ctx->cgroup;

	if (cgroup)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%llu\n", cgroup->kn->id);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
