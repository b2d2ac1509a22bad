/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Datagrams: what becomes of one send or receive on a UDP socket. Captured on ports that
 * userspace asks for (port_rules), each with the address of its other end: a connected socket's
 * is in the socket, an unconnected one's in the arguments of the send; of a receive it is what
 * datagram_from (socket_messages.bpf.c) remembered, or to whom the socket sent last.
 */
#ifndef BACKSTITCH_DATAGRAMS_BPF_H
#define BACKSTITCH_DATAGRAMS_BPF_H

#include "recognise.bpf.h"
#include "syscall.bpf.h"

/* Is any port in port_rules one of PORT_DATAGRAMS? */
const volatile bool captures_datagrams = false;

/* Bytes of a datagram that are copied. */
#define DATAGRAM_BYTES 1500
/* The calls for several messages work through them within this time, ns. */
#define MESSAGES_APART 1000000
/* struct mmsghdr: a struct msghdr, then the bytes moved. */
#define MESSAGE_BYTES 64
#define MESSAGE_LENGTH 56

/* What comes first in sockaddr_in and sockaddr_in6. */
struct user_address {
	__u16 family;
	__u16 port; /* network order */
	__u32 v4;
};

static __always_inline bool is_udp(const struct sock *sk)
{
	__u16 family = FIELD(sk, __sk_common.skc_family);

	return FIELD(sk, sk_protocol) == IPPROTO_UDP && (family == AF_INET || family == AF_INET6);
}

static __always_inline void set_peer_v4(struct wire_peer *to, __u32 address)
{
	to->family = 4;
	*(__u32 *)to->address = address;
}

/* IPv4 within IPv6 is IPv4. */
static __always_inline void set_peer_v6(struct wire_peer *to, const __u32 *address)
{
	if (!address[0] && !address[1] && address[2] == bpf_htonl(0xffff)) {
		set_peer_v4(to, address[3]);
		return;
	}
	to->family = 6;
	__builtin_memcpy(to->address, address, sizeof(to->address));
}

static __always_inline void peer_of_user(struct wire_peer *to, __u64 address)
{
	struct user_address name;
	__u32 v6[4];

	if (!address || bpf_probe_read_user(&name, sizeof(name), (void *)address))
		return;
	if (name.family == AF_INET) {
		set_peer_v4(to, name.v4);
	} else if (name.family == AF_INET6) {
		if (bpf_probe_read_user(v6, sizeof(v6), (void *)(address + sizeof(name))))
			return;
		set_peer_v6(to, v6);
	}
	to->port = bpf_ntohs(name.port);
}

static __always_inline void peer_of_socket(struct wire_peer *to, struct sock *sk)
{
	__u16 port = FIELD(sk, __sk_common.skc_dport);

	if (!port)
		return;
	to->port = bpf_ntohs(port);
	if (FIELD(sk, __sk_common.skc_family) == AF_INET) {
		set_peer_v4(to, FIELD(sk, __sk_common.skc_daddr));
	} else {
		struct in6_addr remote = FIELD(sk, __sk_common.skc_v6_daddr);

		set_peer_v6(to, remote.in6_u.u6_addr32);
	}
}

/*
 * The message header that a call works on, 0 for calls that have none. Of sendmmsg and recvmmsg
 * the next one, when the socket's last message was of the same call.
 */
static __always_inline __u64 message_of(struct socket_state *state, const struct syscall *call)
{
	__u64 now;

	switch (call->number) {
	case NR_SENDMSG:
	case NR_RECVMSG:
		return call->second;
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		now = bpf_ktime_get_ns();
		if (state->messages != call->second || state->message_index >= call->third ||
		    now - state->message_ns > MESSAGES_APART)
			state->message_index = 0;
		state->messages = call->second;
		state->message_ns = now;
		return call->second + MESSAGE_BYTES * (state->message_index++ & 1023);
	}
	return 0;
}

/* The address that a call was given or gave, if any. */
static __always_inline void peer_of_call(struct wire_peer *to, const struct syscall *call,
					 const struct pt_regs *regs, __u64 message)
{
	struct user_message header;

	if (call->number == NR_SENDTO || call->number == NR_RECVFROM)
		peer_of_user(to, fifth_argument(regs));
	else if (message && !bpf_probe_read_user(&header, sizeof(header), (void *)message))
		peer_of_user(to, header.name);
}

static __always_inline bool is_wanted(const struct sock *sk, const struct wire_peer *peer)
{
	return (rules_of_port(FIELD(sk, __sk_common.skc_num)) | rules_of_port(peer->port)) &
	       PORT_DATAGRAMS;
}

static __always_inline struct socket_state *datagram_state(struct sock *sk)
{
	struct socket_state *state = state_made(sk);

	if (state && !(state->flags & SOCKET_NAMED)) {
		state->cookie = socket_id(sk);
		state->peer_flags = CONNECTION_DATAGRAMS;
		state->protocol = WIRE_PROTOCOL_UNDETERMINED;
		state->flags |= SOCKET_NAMED;
	}
	return state;
}

static __always_inline bool write_datagram(struct call *call, const struct buffers *buffers,
					   struct scratch *scratch, const struct wire_peer *peer)
{
	struct wire_data *record = &scratch->data;
	int captured = 0;

	if (call->direction == DIRECTION_SEND)
		take_trigger(call);
	fill_data(record, call);
	record->header.kind = WIRE_DATAGRAM;
	if (buffers->kind != BUFFERS_NONE)
		captured = gather(scratch, buffers,
				  call->length < DATAGRAM_BYTES ? call->length : DATAGRAM_BYTES);
	if (captured <= 0) {
		captured = 0;
		record->flags |= DATA_NO_PAYLOAD;
		call->count->no_payload[buffers->kind == BUFFERS_NONE ? buffers->reason & 7 :
									NO_PAYLOAD_FAULT]++;
	}
	captured &= ~GATHERED_HEAD;
	barrier_var(captured);
	if (captured < 0 || captured > DATAGRAM_BYTES)
		return false;
	record->captured = captured;
	__builtin_memcpy(scratch->payload + captured, peer, sizeof(*peer));
	record->header.size = sizeof(*record) + captured + sizeof(*peer);
	if (bpf_ringbuf_output(&socket_messages, record, sizeof(*record) + captured + sizeof(*peer),
			       BPF_RB_NO_WAKEUP))
		return false;
	count_written(call, captured);
	return true;
}

/*
 * One datagram, after it was sent or received. `peer` is what the call says of the other end,
 * family 0 if nothing.
 */
static __always_inline void observe_datagram(struct call *call, const struct buffers *buffers,
					     struct wire_peer *peer)
{
	struct socket_state *state = call->state;
	struct scratch *scratch;
	__u32 zero = 0;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch)
		return;
	call->count->seen++;
	call->count->bytes_seen += call->length;
	if (!peer->family)
		peer_of_socket(peer, call->sk);
	if (!peer->family)
		*peer = state->peer;
	if (!is_wanted(call->sk, peer)) {
		call->count->dropped[DROP_DATAGRAM]++;
		return;
	}
	if (call->direction == DIRECTION_SEND) {
		state->peer = *peer;
		call->position = state->sent_end;
		state->sent_end += call->length;
	} else {
		call->position = state->received_end;
		state->received_end += call->length;
	}
	if ((!(state->flags & SOCKET_ANNOUNCED) ||
	     state->generation != call->count->announce_generation) &&
	    !announce(state, call->sk, call->task, call->count))
		call->count->dropped[DROP_RING_FULL]++;
	else if (!write_datagram(call, buffers, scratch, peer))
		call->count->dropped[DROP_RING_FULL]++;
	if (call->direction == DIRECTION_RECEIVE)
		remember_read(call);
}

#endif
