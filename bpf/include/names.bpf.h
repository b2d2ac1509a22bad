/* SPDX-License-Identifier: GPL-2.0 */
/* The names of connections and the positions in their streams. */
#ifndef BACKSTITCH_NAMES_BPF_H
#define BACKSTITCH_NAMES_BPF_H

#include "state.bpf.h"

static __always_inline bool fin_sent(const struct sock *sk)
{
	__u8 state = FIELD(sk, __sk_common.skc_state);

	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_LAST_ACK ||
	       state == TCP_CLOSING;
}

/*
 * Who opened the connection shows in the kernel's own counts: bytes_acked includes the
 * opener's SYN, bytes_sent never does. Up to what was sent last, the two differ by one at
 * the side that called connect() and agree at the other.
 */
static __always_inline __u8 opener_flags(const struct sock *sk, const struct tcp_sock *tp)
{
	__u32 by_acknowledgement = (__u32)FIELD(tp, bytes_acked) + (FIELD(tp, snd_nxt) - FIELD(tp, snd_una));
	__u32 by_transmission = (__u32)FIELD(tp, bytes_sent) - (__u32)FIELD(tp, bytes_retrans);
	__u32 difference = by_acknowledgement - by_transmission;

	if (fin_sent(sk) && FIELD(tp, snd_nxt) == FIELD(tp, write_seq))
		difference--;
	if (difference == 1)
		return CONNECTION_OPENER;
	return difference == 0 ? CONNECTION_ACCEPTER : 0;
}

static __always_inline __u16 rank_of(__u32 local_start, __u32 remote_start)
{
	/* Symmetric: both ends of a connection are captured, or none. */
	__u32 mixed = (local_start ^ remote_start) * 0x9e3779b1;

	mixed ^= mixed >> 15;
	return (mixed * 0x85ebca6b >> 16) * 1000 >> 16;
}

/*
 * The counts and sequence numbers of each pair are updated together by the softirq that
 * receives, which may run on another CPU just now: read again until they agree.
 */
static __always_inline void name_connection(struct socket_state *state, struct sock *sk,
					    const struct tcp_sock *tp)
{
	__u32 local = 0, remote = 0;
	__u8 flags = 0;

	for (int attempt = 0; attempt < 3; attempt++) {
		__u32 local_before = FIELD(tp, snd_una) - (__u32)FIELD(tp, bytes_acked);
		__u32 remote_before = FIELD(tp, rcv_nxt) - (__u32)FIELD(tp, bytes_received);

		flags = opener_flags(sk, tp);
		barrier();
		local = FIELD(tp, snd_una) - (__u32)FIELD(tp, bytes_acked);
		remote = FIELD(tp, rcv_nxt) - (__u32)FIELD(tp, bytes_received);
		if (local == local_before && remote == remote_before)
			break;
		barrier();
	}
	if (state->flags & SOCKET_OPENED)
		flags = CONNECTION_OPENER | CONNECTION_OPENED;
	state->local_start = local + !!(flags & CONNECTION_OPENER);
	state->remote_start = remote;
	state->peer_flags = flags;
	state->rank = rank_of(state->local_start, remote);
	state->cookie = socket_id(sk);
	state->flags |= SOCKET_NAMED;
}

/* `near` is exact but for a few bytes, `low` holds the exact lower half. */
static __always_inline __u64 extend(__u64 near, __u32 low)
{
	return near + (__s32)(low - (__u32)near);
}

static __always_inline __u64 sent_position(const struct tcp_sock *tp, __u32 start)
{
	__u32 end = FIELD(tp, write_seq);

	return extend(FIELD(tp, bytes_acked) + (end - FIELD(tp, snd_una)), end - start);
}

static __always_inline __u64 received_position(struct sock *sk, const struct tcp_sock *tp,
					       __u32 start)
{
	__u32 end = FIELD(tp, copied_seq);
	__u64 near = FIELD(tp, bytes_received) - (FIELD(tp, rcv_nxt) - end);

	/* A read that reaches the FIN steps over it; only then has everything been read. */
	if (FIELD(sk, __sk_common.skc_flags) & (1 << SOCK_DONE_BIT) && end == FIELD(tp, rcv_nxt))
		end--;
	return extend(near, end - start);
}

#endif
