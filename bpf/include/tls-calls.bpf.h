/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of clear text. Unlike programs at sockets, uprobes can be preempted by another
 * thread's: nothing here is kept in memory of the CPU, and its counters are added to atomically.
 */
#ifndef BACKSTITCH_TLS_CALLS_BPF_H
#define BACKSTITCH_TLS_CALLS_BPF_H

#include "capture.bpf.h"

/* More than any call moves. */
#define TLS_CALL_MAX 0x7fffffff
#define TLS_MEDIUM_PAYLOAD 2048

#define ADD(counter, number) __sync_fetch_and_add(&(counter), number)

/* The session that the thread turns to has no socket: it gets the one that was just read. */
static __always_inline void tls_meet_fresh(struct tls_thread *thread, const struct tls_key *key)
{
	struct tls_session *session;

	if (!thread->fresh.cookie)
		return;
	session = tls_session_of(key);
	if (session && !session->state.cookie && !tls_owner(thread->fresh.cookie))
		tls_join(key, session, &thread->fresh);
	thread->fresh.cookie = 0;
}

static __always_inline bool tls_write_within(const struct call *call, __u64 base, __u32 share,
					     __u32 room)
{
	struct wire_data *record =
		bpf_ringbuf_reserve(&socket_messages, sizeof(*record) + room, 0);
	__u32 captured = share;

	if (!record)
		return false;
	fill_data(record, call);
	record->flags |= DATA_TLS;
	barrier_var(captured);
	if (captured > room || !base ||
	    bpf_probe_read_user(record + 1, captured, (void *)base)) {
		captured = 0;
		record->flags |= DATA_NO_PAYLOAD;
		ADD(call->count->no_payload[base ? NO_PAYLOAD_FAULT : NO_PAYLOAD_NO_BUFFER], 1);
	} else if (captured < call->length && call->length >= 8) {
		bpf_probe_read_user(record->tail, 8, (void *)(base + call->length - 8));
		if (!captured)
			ADD(call->count->no_payload[NO_PAYLOAD_BUDGET], 1);
	}
	record->captured = captured;
	record->header.size = sizeof(*record) + captured;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	call->state->budget_used += captured;
	ADD(call->count->captured, 1);
	ADD(call->count->bytes_captured, captured);
	return true;
}

static __always_inline bool tls_write(const struct call *call, __u64 base, __u32 share)
{
	if (share <= TINY_PAYLOAD)
		return tls_write_within(call, base, share, TINY_PAYLOAD);
	if (share <= SHORT_PAYLOAD)
		return tls_write_within(call, base, share, SHORT_PAYLOAD);
	if (share <= SMALL_PAYLOAD)
		return tls_write_within(call, base, share, SMALL_PAYLOAD);
	if (share <= TLS_MEDIUM_PAYLOAD)
		return tls_write_within(call, base, share, TLS_MEDIUM_PAYLOAD);
	if (share > CAPTURE_CALL_MAX)
		share = CAPTURE_CALL_MAX;
	return tls_write_within(call, base, share, CAPTURE_CALL_MAX);
}

/* See write_pieces. */
static __always_inline bool tls_write_pieces(struct call *call, __u64 base)
{
	__u32 left = call->length;

	for (int piece = 0; piece < PIECES_MAX && left; piece++) {
		__u32 length = left < CAPTURE_CALL_MAX ? left : CAPTURE_CALL_MAX;

		call->length = piece == PIECES_MAX - 1 ? left : length;
		if (!tls_write_within(call, base, length, CAPTURE_CALL_MAX))
			return false;
		if (piece)
			ADD(call->count->seen, 1);
		call->position += call->length;
		left -= call->length;
		base += length;
	}
	return true;
}

static __always_inline void tls_recognise(const struct call *call, __u64 base)
{
	struct socket_state *state = call->state;
	__u32 got = call->length < 8 ? call->length : 8;
	__u64 first = 0;
	__u8 protocol;

	if (!base || bpf_probe_read_user(&first, got & 15, (void *)base))
		return;
	protocol = classify(first, got);
	if (protocol == WIRE_PROTOCOL_UNKNOWN)
		begin_probing(state);
	else if (protocol < 32 && protocols_disabled >> protocol & 1)
		state->protocol = WIRE_PROTOCOL_IGNORED;
	else
		state->protocol = protocol;
}

/* As is_probed, for clear text. */
static __always_inline bool tls_is_followed(const struct call *call, __u64 base, bool turned)
{
	struct socket_state *state = call->state;

	if (state->protocol == WIRE_PROTOCOL_UNKNOWN)
		tls_recognise(call, base);
	else if ((state->protocol == WIRE_PROTOCOL_UNDETERMINED &&
		  (turned || state->probe_calls++ < PROBE_CALLS_MAX)) ||
		 state->generation != call->count->announce_generation)
		take_verdict(state);
	state->generation = call->count->announce_generation;
	if (is_followed(state))
		return true;
	if (state->protocol == WIRE_PROTOCOL_UNDETERMINED && probe(call, turned))
		return true;
	ADD(call->count->dropped[DROP_UNCLASSIFIED], 1);
	return false;
}

static __always_inline bool tls_may_resume(const struct call *call, __u64 base, bool turned)
{
	__u64 first;

	if (call->state->protocol > WIRE_PROTOCOL_POSTGRESQL)
		return true;
	return turned && call->length >= 8 && base &&
	       !bpf_probe_read_user(&first, sizeof(first), (void *)base) &&
	       classify_request(first);
}

static __always_inline bool tls_is_shed(const struct call *call, __u64 base, bool turned)
{
	struct socket_state *state = call->state;
	bool now = state->rank < call->count->shed_per_mille;

	if (!now && !(state->flags & SOCKET_SHED))
		return false;
	if (!now && state->shed_until_ns < bpf_ktime_get_ns() &&
	    tls_may_resume(call, base, turned)) {
		state->flags &= ~(SOCKET_SHED | SOCKET_TOLD);
		if (state->protocol == WIRE_PROTOCOL_UNDETERMINED)
			begin_probing(state);
		return false;
	}
	state->flags |= SOCKET_SHED;
	tell_shed(call);
	ADD(call->count->dropped[DROP_SHED], 1);
	return true;
}

static __always_inline void tls_capture(struct call *call, __u64 base, bool turned)
{
	struct socket_state *state = call->state;
	bool written;

	if (!state->cookie) {
		ADD(call->count->dropped[DROP_TLS_UNJOINED], 1);
		return;
	}
	if (!tls_is_followed(call, base, turned) || tls_is_shed(call, base, turned))
		return;
	if (call->direction == DIRECTION_SEND)
		take_trigger(call);
	if (state->protocol == WIRE_PROTOCOL_HTTP2 && call->length > CAPTURE_CALL_MAX &&
	    state->budget_used < TURN_BUDGETS * capture_bytes_max)
		written = tls_write_pieces(call, base);
	else
		written = tls_write(call, base, share_of(call));
	if (!written) {
		state->flags |= SOCKET_SHED;
		state->shed_until_ns = bpf_ktime_get_ns() + shed_ns;
		ADD(call->count->dropped[DROP_RING_FULL], 1);
	}
}

/*
 * A call that had begun before the probes were there is not seen. So until both directions were
 * seen there may be something between two calls of one direction: they do not join.
 */
static __always_inline void tls_leave_gap(struct tls_session *session, __u8 direction)
{
	struct socket_state *state = &session->state;

	if (state->sent_end < TLS_UNKNOWN_START ||
	    session->seen == (DIRECTION_SEND | DIRECTION_RECEIVE))
		return;
	session->seen |= direction;
	if (direction == DIRECTION_SEND)
		state->sent_end += TLS_UNKNOWN_GAP;
	else
		state->received_end += TLS_UNKNOWN_GAP;
}

/* `length` bytes of clear text went to or came from the session. base 0: they are not known. */
static __always_inline void tls_clear_text(const struct tls_key *key, struct task_struct *task,
					   __u64 base, __u32 length, __u8 direction)
{
	struct tls_session *session = tls_session_of(key);
	struct capture_counters *count = counters();
	struct call call = { NULL, task, NULL, count, 0, length, direction };
	struct socket_state *state;
	bool turned;

	if (!count)
		return;
	ADD(count->seen, 1);
	ADD(count->bytes_seen, length);
	if (!session) {
		ADD(count->dropped[DROP_NO_STORAGE], 1);
		return;
	}
	state = &session->state;
	call.state = state;
	call.sk = (struct sock *)session->socket_address;
	turned = state->direction != direction;
	if (turned) {
		state->direction = direction;
		state->budget_used = 0;
	}
	tls_leave_gap(session, direction);
	if (direction == DIRECTION_SEND) {
		call.position = state->sent_end;
		state->sent_end += length;
	} else {
		call.position = state->received_end;
		state->received_end += length;
	}
	if (count->follows_runtimes && direction == DIRECTION_SEND)
		ask_runtime(&call);
	tls_capture(&call, base, turned);
	call.position = direction == DIRECTION_SEND ? 0 : state->received_end - length;
	if (direction == DIRECTION_RECEIVE && state->cookie) {
		remember_read(&call);
		if (count->follows_runtimes)
			tell_runtime(&call, turned);
	}
}

/* A TLS record holds no more. */
#define TLS_RECORD_MAX 16384

/*
 * Where the bytes of a session's writes are on the socket before they return, a write of one record
 * is told when it begins: that it succeeds is known by the next one, as what went to the socket
 * since is more than it had. If not, the next one goes on with it. True: it was told.
 */
static __always_inline bool tls_write_begins(const struct tls_key *key, struct task_struct *task,
					     struct tls_thread *thread, __u32 length,
					     bool may_skip)
{
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, key);

	thread->wanted = length;
	if (!session)
		return false;
	if (session->sent < session->told)
		return false;
	session->told = 0;
	session->sent = 0;
	if (!may_skip || !session->writes_inside || !length || length > TLS_RECORD_MAX)
		return false;
	session->told = length;
	thread->told = 1;
	/* What the compiler knows of the bound the verifier has to see where it is used. */
	barrier_var(length);
	tls_clear_text(key, task, thread->buffer, length, DIRECTION_SEND);
	return true;
}

/* A write returned that `count` bytes were taken: of these some may have been told before. */
static __always_inline void tls_write_ends(const struct tls_key *key, struct task_struct *task,
					   struct tls_thread *thread, __u32 count)
{
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, key);
	__u32 told = session ? session->told : 0;

	if (session) {
		session->writes_inside = count == thread->wanted && session->sent >= count;
		session->told = told > count ? told - count : 0;
		if (told >= count)
			return;
	}
	tls_clear_text(key, task, thread->buffer + told, count - told, DIRECTION_SEND);
}

#endif
