// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Counts TCP segments that were sent again, by the remote end. */
#include "bpf/kernel-types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Only sockets of this network namespace (the inode of its file); 0 for all. */
const volatile __u32 only_netns;

struct remote {
	__u8 address[4];
	__u16 port;
	__u16 unused;
};

/* Inserted here, taken out by the reader; the oldest go when it is full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct remote);
	__type(value, __u64);
} retransmits SEC(".maps");

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit, struct sock *sk, void *skb)
{
	struct remote remote = { .port = bpf_ntohs(sk->__sk_common.skc_dport) };
	__u64 one = 1, *count;

	if (only_netns && sk->__sk_common.skc_net.net->ns.inum != only_netns)
		return 0;
	*(__u32 *)remote.address = sk->__sk_common.skc_daddr;
	count = bpf_map_lookup_elem(&retransmits, &remote);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&retransmits, &remote, &one, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
