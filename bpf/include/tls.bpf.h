/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which TLS session belongs to which socket. A session is an object of a TLS library (SSL of
 * OpenSSL, gnutls_session_t, crypto/tls.Conn), seen by the uprobes of tls.bpf.c; sockets are seen
 * by the programs at system calls, which share these maps. Two ways to join them:
 *
 * - the thread is inside a call of the library when it sends or receives: certain;
 * - the library works in memory (BIO_s_mem: Node, asyncio) and the thread has just received from
 *   a socket that speaks TLS and belongs to no session: event loops hand such bytes to their
 *   session before they read from another socket.
 */
#ifndef BACKSTITCH_TLS_BPF_H
#define BACKSTITCH_TLS_BPF_H

#include "state.bpf.h"
#include "records.bpf.h"
#include "recognise.bpf.h"
#include "java-lineage.bpf.h"

struct tls_key {
	__u64 object; /* address in the process */
	__u32 tgid;
	__u32 reserved;
};

/* What a session needs to know of its socket. */
struct tls_socket {
	__u64 cookie; /* 0: none */
	__u64 address;
	__u32 local_start;
	__u32 remote_start;
	__u16 rank;
	__u8 peer_flags;
	__u8 opened; /* connect() was seen; trigger is what came before it */
	__u16 local_port;
	__u16 remote_port;
	struct thread_state trigger;
};

/* A session: the state of its clear text, as socket_state is of what the socket moves. */
struct tls_session {
	struct socket_state state; /* cookie 0: not joined */
	__u64 socket_address;
	__u32 seen; /* DIRECTION_ bits, of a session whose beginning was not seen */
	__u32 inside; /* joined inside of a call: all it reads is read inside of calls */
	/* Of a write that was told when it began: its bytes, and those that went to the socket since. */
	__u64 sent;
	__u32 told;
	__u32 writes_inside; /* a write's bytes went to the socket before it returned */
};

/*
 * Inserted when a session is made or met; the longest unused go, and those that are met again
 * then are sessions whose beginning was not seen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_key);
	__type(value, struct tls_session);
} tls_sessions SEC(".maps");

/* The session of a socket, by cookie. Deleted with the socket; the longest unused go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tls_key);
} tls_sockets SEC(".maps");

/* A session as it is made: too large for the stack. Never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tls_session);
} tls_empty SEC(".maps");

struct tls_thread {
	__u64 object; /* of the library call that the thread is in; 0: none */
	__u64 buffer;
	__u64 count_at; /* where the call writes how many bytes there were; 0: it returns it */
	__u32 wanted; /* bytes that it was given to write */
	__u32 told; /* its end is not seen: object may be of a call that is over */
	__u64 kind; /* TLS_CALL_ */
	struct tls_socket fresh; /* that it received ciphertext from last */
};

/* Inserted by the first library call or receive of ciphertext; freed with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

struct tls_go_key {
	__u64 g; /* address of the goroutine's runtime.g, which no other has while it lives */
	__u32 tgid;
	__u32 reserved;
};

struct tls_go_call {
	__u64 object;
	__u64 buffer;
	__u64 kind; /* TLS_CALL_ */
};

/*
 * Calls of crypto/tls that goroutines are in: they may end on another thread. Inserted at their
 * beginning, deleted at their end; the longest unused go, and their calls are not captured.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_go_key);
	__type(value, struct tls_go_call);
} tls_go_calls SEC(".maps");

/*
 * Positions count clear text from the session's beginning, so that both ends name bytes alike.
 * Where that was not seen they start at a number that nobody else has.
 */
#define TLS_UNKNOWN_START (1ULL << 44)
#define TLS_UNKNOWN_GAP (1 << 20)

static __always_inline void tls_start_at(struct tls_session *session, __u64 start)
{
	session->state.sent_end = start;
	session->state.received_end = start;
}

/* A session from its beginning on. */
static __always_inline void tls_session_made(const struct tls_key *key)
{
	__u32 zero = 0;
	struct tls_session *empty = bpf_map_lookup_elem(&tls_empty, &zero);

	if (empty)
		bpf_map_update_elem(&tls_sessions, key, empty, BPF_ANY);
}

static __always_inline struct tls_session *tls_session_of(const struct tls_key *key)
{
	struct tls_session *known = bpf_map_lookup_elem(&tls_sessions, key);

	if (known)
		return known;
	tls_session_made(key);
	known = bpf_map_lookup_elem(&tls_sessions, key);
	if (known)
		tls_start_at(known, TLS_UNKNOWN_START + ((__u64)bpf_get_prandom_u32() << 11));
	return known;
}

static __always_inline struct tls_key *tls_owner(__u64 cookie)
{
	return bpf_map_lookup_elem(&tls_sockets, &cookie);
}

static __always_inline bool tls_owns(const struct tls_key *key, __u64 cookie)
{
	struct tls_key *owner = tls_owner(cookie);

	return owner && owner->object == key->object && owner->tgid == key->tgid;
}

static __always_inline void tls_apply_rules(struct tls_session *session,
					    const struct tls_socket *from)
{
	__u32 rules = rules_of_port(from->local_port) | rules_of_port(from->remote_port);

	if (rules & PORT_IGNORED)
		session->state.protocol = WIRE_PROTOCOL_IGNORED;
	else if (rules & PORT_ASK)
		begin_probing(&session->state);
}

static __always_inline void tls_join(const struct tls_key *key, struct tls_session *session,
				     const struct tls_socket *from)
{
	struct socket_state *state = &session->state;

	/* An object that is used again: what came before is not of this connection. */
	if (state->cookie) {
		tls_start_at(session, TLS_UNKNOWN_START + ((__u64)bpf_get_prandom_u32() << 11));
		state->protocol = WIRE_PROTOCOL_UNKNOWN;
		state->direction = DIRECTION_NONE;
		state->budget_used = 0;
		session->told = 0;
		session->writes_inside = 0;
	}
	state->cookie = from->cookie;
	state->local_start = from->local_start;
	state->remote_start = from->remote_start;
	state->rank = from->rank;
	state->peer_flags = from->peer_flags;
	state->flags = SOCKET_NAMED | SOCKET_ANNOUNCED | (from->opened ? SOCKET_OPENED : 0);
	state->trigger = from->trigger;
	session->socket_address = from->address;
	if (has_port_rules)
		tls_apply_rules(session, from);
	bpf_map_update_elem(&tls_sockets, &state->cookie, key, BPF_ANY);
}

static __always_inline void tls_describe(struct tls_socket *to, const struct call *call)
{
	const struct socket_state *state = call->state;
	struct sock *sk = call->sk;

	to->cookie = state->cookie;
	to->address = (__u64)sk;
	to->local_start = state->local_start;
	to->remote_start = state->remote_start;
	to->rank = state->rank;
	to->peer_flags = state->peer_flags;
	to->opened = !!(state->flags & SOCKET_OPENED);
	to->local_port = FIELD(sk, __sk_common.skc_num);
	to->remote_port = bpf_ntohs(FIELD(sk, __sk_common.skc_dport));
	to->trigger = state->trigger;
}

/* The session of the library's call that the thread is in; 0: none. */
static __always_inline __u64 tls_object_inside(const struct call *call,
					       const struct tls_thread *thread)
{
	struct tls_go_key key = { .tgid = call->task->tgid };
	struct tls_go_call *inside;
	__u64 in_java;

	if (call->count->follows_tls & TLS_IN_JAVA) {
		in_java = java_tls_object(call->task);
		if (in_java)
			return in_java;
	}
	if (thread->object || !(call->count->follows_tls & TLS_IN_GO))
		return thread->object;
	key.g = goroutine_of((struct pt_regs *)bpf_task_pt_regs(call->task));
	inside = bpf_map_lookup_elem(&tls_go_calls, &key);
	return inside ? inside->object : 0;
}

/* A send or receive inside of a library's call: the thread's session gets the socket. */
static __always_inline bool tls_meet_inside(const struct call *call, struct tls_thread *thread)
{
	struct tls_key key = { tls_object_inside(call, thread), call->task->tgid };
	struct socket_state *state = call->state;
	struct tls_session *session;

	if (!key.object)
		return false;
	/* Something else that the process reads or writes by the same functions. */
	if (thread->kind & TLS_CALL_UNSURE && state->protocol != WIRE_PROTOCOL_TLS &&
	    !bpf_map_lookup_elem(&tls_sessions, &key))
		return false;
	session = tls_session_of(&key);
	if (!session)
		return false;
	if (session->state.cookie != state->cookie) {
		/* A socket that the program's own callback uses. */
		if (thread->told ||
		    (session->state.cookie && tls_owns(&key, session->state.cookie)))
			return false;
		tls_describe(&thread->fresh, call);
		tls_join(&key, session, &thread->fresh);
		session->inside = !(thread->kind & TLS_CALL_READS_APART);
		thread->fresh.cookie = 0;
	}
	if (call->direction == DIRECTION_SEND)
		session->sent += call->length;
	state->flags &= ~SOCKET_OPENED;
	state->protocol = WIRE_PROTOCOL_TLS;
	return true;
}

/*
 * A receive outside of the calls that are known: the call had begun before the probes were there.
 * What it gives is not seen, but that there was something.
 */
static __always_inline void tls_miss_read(const struct call *call, const struct tls_key *owner)
{
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, owner);
	struct wire_data record = {};

	if (!session || !session->inside || call->direction != DIRECTION_RECEIVE ||
	    session->state.received_end < TLS_UNKNOWN_START || session->seen & DIRECTION_RECEIVE)
		return;
	fill_data(&record, call);
	record.flags = DATA_TLS | DATA_NO_PAYLOAD;
	record.position = session->state.received_end;
	session->state.received_end += call->length;
	session->state.direction = DIRECTION_RECEIVE;
	session->state.budget_used = 0;
	session->seen |= DIRECTION_RECEIVE;
	if (!bpf_ringbuf_output(&socket_messages, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		call->count->markers++;
}

/*
 * Does the call move what a known session encrypts? Then there is nothing to capture in it, and
 * what the thread read last is told by the session.
 */
static __always_inline bool is_of_tls_session(const struct call *call)
{
	struct tls_thread *thread =
		bpf_task_storage_get(&tls_threads, call->task, 0,
				     call->count->follows_tls & (TLS_IN_GO | TLS_IN_JAVA) ?
					     BPF_LOCAL_STORAGE_GET_F_CREATE :
					     0);
	struct socket_state *state = call->state;
	struct tls_key *owner;

	if (state->protocol == WIRE_PROTOCOL_IGNORED && has_port_rules)
		return false;
	if (!thread || !tls_meet_inside(call, thread)) {
		owner = state->protocol == WIRE_PROTOCOL_TLS ? tls_owner(state->cookie) : NULL;
		if (!owner)
			return false;
		tls_miss_read(call, owner);
	}
	if (!(state->flags & SOCKET_ANNOUNCED) ||
	    state->generation != call->count->announce_generation)
		announce(state, call->sk, call->task, call->count);
	call->count->dropped[DROP_ENCRYPTED]++;
	return true;
}

/* Ciphertext of nobody's yet: perhaps of the session that the thread turns to next. */
static __always_inline void remember_ciphertext(const struct call *call)
{
	struct tls_thread *thread;

	if (call->state->protocol != WIRE_PROTOCOL_TLS || call->direction != DIRECTION_RECEIVE)
		return;
	thread = bpf_task_storage_get(&tls_threads, call->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		tls_describe(&thread->fresh, call);
}

#define TLS_RECORD_HEADER 5

/*
 * Sessions by a record that they made, in JVMs: it may be sent by any thread. Inserted as long as
 * the session has no socket; the longest unused go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct java_record);
	__type(value, struct tls_key);
} java_records SEC(".maps");

/* Sends ciphertext of nobody's yet: of the session that made this record. */
static __always_inline void tls_meet_record(const struct call *call, const struct buffers *buffers)
{
	struct java_room *room = java_room();
	struct tls_thread *thread;
	struct tls_session *session;
	struct tls_key *made, key;

	if (!room || call->direction != DIRECTION_SEND ||
	    call->state->protocol != WIRE_PROTOCOL_TLS || tls_owner(call->state->cookie))
		return;
	room->first.base = buffers->base;
	room->first.length = call->length;
	if (buffers->kind == BUFFERS_VECTOR &&
	    bpf_probe_read_user(&room->first, sizeof(room->first), (void *)buffers->base))
		return;
	if (buffers->kind == BUFFERS_NONE ||
	    room->first.length < TLS_RECORD_HEADER + sizeof(room->record) ||
	    bpf_probe_read_user(&room->record, sizeof(room->record),
				(void *)(room->first.base + TLS_RECORD_HEADER)))
		return;
	made = bpf_map_lookup_elem(&java_records, &room->record);
	if (!made || made->tgid != call->task->tgid)
		return;
	key = *made;
	bpf_map_delete_elem(&java_records, &room->record);
	session = tls_session_of(&key);
	thread = bpf_task_storage_get(&tls_threads, call->task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!session || session->state.cookie || !thread)
		return;
	tls_describe(&thread->fresh, call);
	tls_join(&key, session, &thread->fresh);
	thread->fresh.cookie = 0;
	call->state->flags &= ~SOCKET_OPENED;
}

#endif
