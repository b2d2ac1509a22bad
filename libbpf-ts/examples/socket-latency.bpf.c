// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* A histogram of the time from a send on a socket to the next receive. Linux 6.3 on. */
#include "bpf/kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 target_pid;

/* When a socket last sent: inserted by on_send, deleted by on_receive, the oldest go when full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} sent SEC(".maps");

/* Slot n counts 2^n to 2^(n+1) - 1 microseconds. */
__u64 slots[32];

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int bytes, int flags)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();

	if (bpf_get_current_pid_tgid() >> 32 == target_pid && bytes > 0)
		bpf_map_update_elem(&sent, &key, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int bytes, int flags)
{
	__u64 key = (__u64)sk, *start, micros, slot = 0;

	start = bytes > 0 ? bpf_map_lookup_elem(&sent, &key) : 0;
	if (!start)
		return 0;
	for (micros = (bpf_ktime_get_ns() - *start) / 1000; micros > 1 && slot < 31; micros >>= 1)
		slot++;
	__sync_fetch_and_add(&slots[slot & 31], 1);
	bpf_map_delete_elem(&sent, &key);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
