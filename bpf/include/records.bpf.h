/* SPDX-License-Identifier: GPL-2.0 */
/* What is written into the ring, and how much of a call. */
#ifndef BACKSTITCH_RECORDS_BPF_H
#define BACKSTITCH_RECORDS_BPF_H

#include "names.bpf.h"
#include "../generated/codes.h"

/* Calls up to this size are captured past the budget too: chunk framing, terminators. */
#define SMALL_CALL 128

static __always_inline void fill_header(struct wire_header *header, __u16 kind, __u16 size)
{
	header->kind = kind;
	header->size = size;
	header->cpu = bpf_get_smp_processor_id();
	header->time_ns = bpf_ktime_get_ns();
}

static __always_inline void fill_addresses(struct wire_connection *record, struct sock *sk)
{
	struct in6_addr remote = FIELD(sk, __sk_common.skc_v6_daddr);
	bool mapped = !remote.in6_u.u6_addr32[0] && !remote.in6_u.u6_addr32[1] &&
		      remote.in6_u.u6_addr32[2] == bpf_htonl(0xffff);

	record->local_port = FIELD(sk, __sk_common.skc_num);
	record->remote_port = bpf_ntohs(FIELD(sk, __sk_common.skc_dport));
	if (FIELD(sk, __sk_common.skc_family) == AF_INET || mapped) {
		record->family = 4;
		*(__u32 *)record->local_address = FIELD(sk, __sk_common.skc_rcv_saddr);
		*(__u32 *)record->remote_address = FIELD(sk, __sk_common.skc_daddr);
		return;
	}
	struct in6_addr local = FIELD(sk, __sk_common.skc_v6_rcv_saddr);

	record->family = 6;
	__builtin_memcpy(record->local_address, &local, sizeof(local));
	__builtin_memcpy(record->remote_address, &remote, sizeof(remote));
}

static __always_inline bool announce(struct socket_state *state, struct sock *sk,
				     struct task_struct *task, struct capture_counters *count)
{
	struct wire_connection *record =
		bpf_ringbuf_reserve(&socket_messages, sizeof(*record), 0);

	if (!record)
		return false;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, WIRE_CONNECTION, sizeof(*record));
	record->socket = state->cookie;
	record->tgid = task->tgid;
	record->netns = FIELD2(sk, __sk_common.skc_net.net, ns.inum);
	record->cgroup_id = bpf_get_current_cgroup_id();
	record->local_start = state->local_start;
	record->remote_start = state->remote_start;
	record->flags = state->peer_flags;
	record->protocol = state->protocol;
	fill_addresses(record, sk);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	state->flags |= SOCKET_ANNOUNCED;
	state->generation = count->announce_generation;
	count->connections++;
	return true;
}

/* One call, as observe's helpers need it. */
struct call {
	struct sock *sk;
	struct task_struct *task;
	struct socket_state *state;
	struct capture_counters *count;
	__u64 position;
	__u32 length;
	__u8 direction;
	__u8 lineage; /* LINEAGE_ */
	__u8 trigger_flags; /* DATA_ */
	__u64 trigger_socket; /* the request that the runtime names; else see take_trigger */
	__u64 trigger_position;
};

static __always_inline void fill_data(struct wire_data *record, const struct call *call)
{
	fill_header(&record->header, WIRE_DATA, sizeof(*record));
	record->socket = call->state->cookie;
	record->position = call->position;
	record->length = call->length;
	record->captured = 0;
	record->flags = call->direction == DIRECTION_SEND ? DATA_SEND : 0;
	if (call->state->protocol == WIRE_PROTOCOL_UNDETERMINED)
		record->flags |= DATA_UNDETERMINED;
	record->lineage = call->lineage;
	record->tgid = call->task->tgid;
	record->tid = call->task->pid;
	record->flags |= call->trigger_flags;
	record->trigger_socket = call->trigger_socket;
	record->trigger_position = call->trigger_position;
	*(__u64 *)record->tail = 0;
}

/*
 * What the thread read last; or, on a connection's first send, what came before connect().
 * Not for the side that accepted: it answers.
 */
static __always_inline void take_trigger(struct call *call)
{
	struct socket_state *state = call->state;
	struct thread_state *last;

	if (state->peer_flags & CONNECTION_ACCEPTER)
		return;
	if (call->lineage > LINEAGE_UNKNOWN) {
		state->flags &= ~SOCKET_OPENED;
		return;
	}
	if (state->flags & SOCKET_OPENED) {
		state->flags &= ~SOCKET_OPENED;
		call->trigger_socket = state->trigger.socket;
		call->trigger_position = state->trigger.position;
		call->trigger_flags = DATA_TRIGGER_CONNECT |
				      (state->trigger.switches ? DATA_SLEPT : 0) |
				      (state->trigger.waited ? DATA_WAITED : 0);
		return;
	}
	/* Opened before it was watched, for something that was read before: nobody knows what. */
	if (call->position == 0 && !(state->peer_flags & CONNECTION_OPENED))
		return;
	last = bpf_task_storage_get(&thread_states, call->task, 0, 0);
	if (!last)
		return;
	call->trigger_socket = last->socket;
	call->trigger_position = last->position;
	call->trigger_flags = (last->switches != call->task->nvcsw ? DATA_SLEPT : 0) |
			      (last->waited ? DATA_WAITED : 0);
}

static __always_inline void remember_read(const struct call *call)
{
	struct thread_state *last = bpf_task_storage_get(&thread_states, call->task, 0,
							 BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!last)
		return;
	last->socket = call->state->cookie;
	last->position = call->position + call->length;
	last->switches = call->task->nvcsw;
	last->judged = call->task->nvcsw;
	last->waited = 0;
}

/* How much of this call to copy: what is left for this message, small calls always. */
static __always_inline __u32 share_of(const struct call *call)
{
	struct socket_state *state = call->state;
	__u32 used = state->budget_used;
	__u32 left = used < capture_bytes_max ? capture_bytes_max - used : 0;

	/* Messages of many streams follow each other: what is left is for each call. */
	if (state->protocol == WIRE_PROTOCOL_HTTP2)
		left = capture_bytes_max;
	if (call->length <= SMALL_CALL)
		left = SMALL_CALL;
	return call->length < left ? call->length : left;
}

static __always_inline void count_written(const struct call *call, __u32 captured)
{
	call->state->budget_used += captured;
	call->count->captured++;
	call->count->bytes_captured += captured;
}

/*
 * A reservation has a constant size, and what is not used of it stays empty in the ring. So
 * there are three: dense records are read by the processor ahead of the reader.
 */
#define TINY_PAYLOAD 56
#define SHORT_PAYLOAD 184
#define SMALL_PAYLOAD 440

static __always_inline void submit_data(struct wire_data *record, const struct call *call,
					__u32 captured)
{
	record->captured = captured;
	record->header.size = sizeof(*record) + captured;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	count_written(call, captured);
}

/* Copies from the process into the ring at once. `room` is a constant. */
static __always_inline bool write_within(const struct call *call, __u64 base, __u32 room)
{
	struct wire_data *record =
		bpf_ringbuf_reserve(&socket_messages, sizeof(*record) + room, 0);
	__u32 captured = call->length;

	if (!record)
		return false;
	fill_data(record, call);
	/* The compiler knows the bound; the verifier has to see it. */
	barrier_var(captured);
	if (captured > room || bpf_probe_read_user(record + 1, captured, (void *)base)) {
		captured = 0;
		record->flags |= DATA_NO_PAYLOAD;
		call->count->no_payload[NO_PAYLOAD_FAULT]++;
	}
	submit_data(record, call, captured);
	return true;
}

static __always_inline bool write_small(const struct call *call, __u64 base)
{
	if (call->length <= TINY_PAYLOAD)
		return write_within(call, base, TINY_PAYLOAD);
	if (call->length <= SHORT_PAYLOAD)
		return write_within(call, base, SHORT_PAYLOAD);
	return write_within(call, base, SMALL_PAYLOAD);
}

#define NOT_WRITTEN 0
#define WRITTEN 1
#define RING_FULL 2

/* The first buffer of several, if it is a whole head. `room` is a constant. */
static __always_inline int write_head_within(const struct call *call, __u64 base, __u64 length,
					     __u32 room)
{
	struct wire_data *record =
		bpf_ringbuf_reserve(&socket_messages, sizeof(*record) + room, 0);
	__u8 *payload;

	if (!record)
		return RING_FULL;
	payload = (__u8 *)(record + 1);
	/* The verifier has to see the bound on the very register that is used. */
	barrier_var(length);
	if (length > room || bpf_probe_read_user(payload, length, (void *)base) ||
	    !is_whole_head(payload, length, room)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		call->state->flags |= SOCKET_MANY_BUFFERS;
		return NOT_WRITTEN;
	}
	fill_data(record, call);
	submit_data(record, call, length);
	return WRITTEN;
}

/*
 * A small call in one buffer, or in several of which the first may be all that is needed: without
 * the scratch, and without reading the others.
 */
static __always_inline int write_first_buffer(const struct call *call,
					      const struct buffers *buffers, __u32 share)
{
	struct user_iovec first = { buffers->base, call->length };

	if (buffers->kind == BUFFERS_VECTOR &&
	    bpf_probe_read_user(&first, sizeof(first), (void *)buffers->base))
		return NOT_WRITTEN;
	if (first.length > share || first.length > SMALL_PAYLOAD)
		return NOT_WRITTEN;
	if (first.length >= call->length)
		return write_small(call, first.base) ? WRITTEN : RING_FULL;
	if (first.length <= SHORT_PAYLOAD)
		return write_head_within(call, first.base, first.length, SHORT_PAYLOAD);
	return write_head_within(call, first.base, first.length, SMALL_PAYLOAD);
}

/* Of several buffers only where a message begins, and the first was enough until now. */
static __always_inline bool needs_one_buffer(const struct call *call, const struct buffers *buffers,
					     __u32 share)
{
	if (buffers->kind == BUFFERS_ONE)
		return share == call->length && share <= SMALL_PAYLOAD;
	return buffers->kind == BUFFERS_VECTOR && !call->state->budget_used &&
	       !(call->state->flags & SOCKET_MANY_BUFFERS);
}

/* Payload into the scratch, or the reason why there is none. Returns its bytes. */
static __always_inline __u32 fill_payload(struct scratch *scratch, const struct call *call,
					  const struct buffers *buffers, __u32 share)
{
	struct wire_data *record = &scratch->data;
	__u64 *no_payload = call->count->no_payload;
	int captured = 0;

	if (buffers->kind == BUFFERS_NONE) {
		record->flags |= DATA_NO_PAYLOAD;
		no_payload[buffers->reason & 7]++;
		return 0;
	}
	if (share)
		captured = gather(scratch, buffers, share);
	if (captured < 0) {
		record->flags |= DATA_NO_PAYLOAD;
		no_payload[NO_PAYLOAD_FAULT]++;
		return 0;
	}
	if (captured & GATHERED_HEAD)
		return captured & ~GATHERED_HEAD;
	if (captured < call->length) {
		*(__u64 *)record->tail = gather_tail(buffers, call->length);
		if (!captured)
			no_payload[NO_PAYLOAD_BUDGET]++;
	}
	return captured;
}

/* Pieces of one call, and of one direction until it turns, in budgets of a message. */
#define PIECES_MAX 8
#define TURN_BUDGETS 16

/*
 * HTTP/2: frames of any number of streams are in one call, and a head that is missed costs the
 * state of header compression. So the whole call is sent, in pieces that count as calls.
 */
static __always_inline bool write_pieces(struct call *call, const struct buffers *buffers,
					 struct scratch *scratch)
{
	struct wire_data *record = &scratch->data;
	__u64 base = buffers->base;
	__u64 position = call->position;
	__u32 whole = call->length;
	__u32 left = whole;
	bool written = true;

	fill_data(record, call);
	for (int piece = 0; piece < PIECES_MAX && left; piece++) {
		__u32 length = left < CAPTURE_CALL_MAX ? left : CAPTURE_CALL_MAX;
		__u32 captured = length;

		call->length = piece == PIECES_MAX - 1 ? left : length;
		record->position = call->position;
		record->length = call->length;
		if (bpf_probe_read_user(scratch->payload, captured, (void *)base)) {
			record->flags |= DATA_NO_PAYLOAD;
			call->count->no_payload[NO_PAYLOAD_FAULT]++;
			captured = 0;
		}
		record->captured = captured;
		record->header.size = sizeof(*record) + captured;
		if (bpf_ringbuf_output(&socket_messages, record, sizeof(*record) + captured,
				       BPF_RB_NO_WAKEUP)) {
			written = false;
			break;
		}
		count_written(call, captured);
		if (piece)
			call->count->seen++;
		call->position += call->length;
		left -= call->length;
		base += length;
	}
	call->position = position;
	call->length = whole;
	return written;
}

static __always_inline bool write_data(struct call *call, const struct buffers *buffers,
				       struct scratch *scratch)
{
	struct wire_data *record = &scratch->data;
	__u32 share = share_of(call);
	__u32 captured;

	if (call->direction == DIRECTION_SEND)
		take_trigger(call);
	if (needs_one_buffer(call, buffers, share)) {
		int done = write_first_buffer(call, buffers, share);

		if (done != NOT_WRITTEN)
			return done == WRITTEN;
	}
	if (buffers->kind == BUFFERS_ONE && call->length > CAPTURE_CALL_MAX &&
	    call->state->protocol == WIRE_PROTOCOL_HTTP2 &&
	    call->state->budget_used < TURN_BUDGETS * capture_bytes_max)
		return write_pieces(call, buffers, scratch);
	fill_data(record, call);
	captured = fill_payload(scratch, call, buffers, share);
	if (captured > CAPTURE_CALL_MAX)
		return false;
	record->captured = captured;
	record->header.size = sizeof(*record) + captured;
	if (bpf_ringbuf_output(&socket_messages, record, sizeof(*record) + captured,
			       BPF_RB_NO_WAKEUP))
		return false;
	count_written(call, captured);
	return true;
}

#endif
