// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Congestion control as a struct_ops: only sockets that choose it by name run it. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* So that a network namespace may make it its default. */
#define TCP_CONG_NON_RESTRICTED 1

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 flags;
	char name[16];
};

volatile __u64 acked_hits;

SEC("struct_ops")
__u32 BPF_PROG(threshold, struct sock *sk)
{
	return 10;
}

SEC("struct_ops")
void BPF_PROG(on_acked, struct sock *sk, __u32 ack, __u32 acked)
{
	__sync_fetch_and_add(&acked_hits, 1);
}

SEC("struct_ops")
__u32 BPF_PROG(undo, struct sock *sk)
{
	return 10;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops control = {
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)on_acked,
	.undo_cwnd = (void *)undo,
	.flags = TCP_CONG_NON_RESTRICTED,
	.name = "libbpf_ts",
};

char LICENSE[] SEC("license") = "Dual BSD/GPL";
