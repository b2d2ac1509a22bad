// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Counts the stacks that a process is found in. */
#include "bpf/kernel-types.h"
#include <bpf/bpf_helpers.h>

const volatile __u32 target_pid;
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 64 * sizeof(__u64));
} stacks SEC(".maps");

/* Samples by stack; full, it counts no new stacks (lost). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} samples SEC(".maps");

SEC("perf_event")
int on_sample(void *ctx)
{
	__u64 one = 1, *count;
	__u32 key;
	long id;

	if (bpf_get_current_pid_tgid() >> 32 != target_pid)
		return 0;
	id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	key = id;
	count = id < 0 ? 0 : bpf_map_lookup_elem(&samples, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else if (id < 0 || bpf_map_update_elem(&samples, &key, &one, BPF_NOEXIST))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
