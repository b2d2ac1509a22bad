/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of one send or receive: shared by the objects that see them in different
 * ways (socket_messages.bpf.c, socket_syscalls.bpf.c). What it is made of, in this order:
 * state, names, records, recognise, shedding; here the one function that both call (observe),
 * and the programs at the beginning and end of connections.
 */
#ifndef BACKSTITCH_CAPTURE_BPF_H
#define BACKSTITCH_CAPTURE_BPF_H

#include "recognise.bpf.h"
#include "shedding.bpf.h"
#include "syscall.bpf.h"
#include "lineage.bpf.h"
#include "java-lineage.bpf.h"
#include "node-lineage.bpf.h"
#include "tls.bpf.h"

static __always_inline struct lineage_room *lineage_room(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lineage_rooms, &zero);
}

static __always_inline __u64 current_goroutine(struct task_struct *task)
{
	return goroutine_of((struct pt_regs *)bpf_task_pt_regs(task));
}

/* As ask_runtime, of a JVM. */
static __always_inline void ask_java(struct call *call, const struct wire_runtime *runtime)
{
	struct java_room *room = java_room();

	if (!room || call->state->peer_flags & CONNECTION_ACCEPTER ||
	    !java_enter(room, runtime, call->task))
		return;
	room->socket = call->state->cookie;
	call->lineage = java_origin_of(room);
	call->trigger_socket = room->origin.socket;
	call->trigger_position = room->origin.position;
}

/* As tell_runtime, of a JVM. */
static __always_inline void tell_java(struct call *call, const struct wire_runtime *runtime,
				      bool turned)
{
	struct java_room *room = java_room();

	if (!room || !java_enter(room, runtime, call->task))
		return;
	room->socket = call->state->cookie;
	room->origin.socket = room->socket;
	room->origin.position = call->position + call->length;
	room->turned = turned;
	/* A call in HTTP/2 may hold many messages. */
	if (call->state->protocol == WIRE_PROTOCOL_HTTP2) {
		room->origin.socket = 0;
		java_reads(room);
	} else if (call->state->peer_flags & CONNECTION_OPENER) {
		java_is_answered(room);
	} else {
		java_reads(room);
	}
}

/* As ask_runtime, of Node: its event loop runs on the process's first thread. */
static __always_inline void ask_node(struct call *call, const struct wire_runtime *runtime,
				     struct origin *origin)
{
	struct socket_state *state = call->state;
	struct thread_state *last;

	if (call->task->pid != call->task->tgid || state->peer_flags & CONNECTION_ACCEPTER ||
	    state->budget_used)
		return;
	last = bpf_task_storage_get(&thread_states, call->task, 0, 0);
	if (last && last->socket == state->cookie && !(state->flags & SOCKET_OPENED)) {
		origin->socket = last->socket;
		origin->position = last->position;
	}
	call->lineage = node_asks(runtime, &state->own, origin);
	if (call->lineage >= LINEAGE_NODE) {
		call->trigger_socket = origin->socket;
		call->trigger_position = origin->position;
	}
}

/* Asks the runtime of the process for which request it sends. */
static __always_inline void ask_runtime(struct call *call)
{
	__u32 tgid = call->task->tgid;
	struct wire_runtime *runtime = bpf_map_lookup_elem(&runtime_processes, &tgid);
	struct lineage_room *room = lineage_room();
	__u64 address = (__u64)call->sk;
	struct origin *origin;

	if (!runtime || !room)
		return;
	if (runtime->kind == RUNTIME_JAVA) {
		ask_java(call, runtime);
		return;
	}
	room->origin.socket = 0;
	room->origin.position = 0;
	origin = &room->origin;
	if (runtime->kind == RUNTIME_NODE) {
		ask_node(call, runtime, origin);
		return;
	}
	if (call->state->peer_flags & CONNECTION_ACCEPTER) {
		room->origin.socket = call->state->cookie;
		if (runtime->kind == RUNTIME_PYTHON && python_enter(room, runtime, call->task))
			python_answers(room);
		return;
	}
	if (runtime->kind == RUNTIME_PYTHON) {
		call->lineage = python_enter(room, runtime, call->task) ? python_origin(room) :
									   LINEAGE_NONE;
	} else {
		origin = bpf_map_lookup_elem(&go_callers, &address);
		if (!origin)
			origin = goroutine_origin(runtime, current_goroutine(call->task), tgid);
		if (!origin)
			origin = &room->origin;
		call->lineage = origin->socket ? LINEAGE_GOROUTINE : LINEAGE_UNKNOWN;
	}
	call->trigger_socket = origin->socket;
	call->trigger_position = origin->position;
}

/* Who read a request works for it. */
static __always_inline void tell_runtime(struct call *call, bool turned)
{
	struct lineage_room *room = lineage_room();
	__u32 tgid = call->task->tgid;
	struct wire_runtime *runtime;

	runtime = bpf_map_lookup_elem(&runtime_processes, &tgid);
	if (!runtime || !room)
		return;
	if (runtime->kind == RUNTIME_JAVA) {
		tell_java(call, runtime, turned);
		return;
	}
	if (runtime->kind == RUNTIME_NODE) {
		if (call->task->pid == tgid)
			node_reads(runtime, call->state->cookie, call->position + call->length);
		return;
	}
	/* A call in HTTP/2 may hold many requests. */
	if (call->state->peer_flags & CONNECTION_OPENER ||
	    call->state->protocol == WIRE_PROTOCOL_HTTP2)
		return;
	room->origin.socket = call->state->cookie;
	room->origin.position = call->position + call->length;
	if (runtime->kind == RUNTIME_PYTHON) {
		if (python_enter(room, runtime, call->task))
			python_reads(room, turned);
		return;
	}
	goroutine_works_for(runtime, current_goroutine(call->task), tgid, &room->origin);
}

static __always_inline void capture(struct call *call, const struct buffers *buffers,
				    struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;

	if (!is_followed(state) && !is_probed(call, buffers, scratch, turned))
		return;
	if (is_shed(call, buffers, scratch, turned)) {
		call->count->dropped[DROP_SHED]++;
		return;
	}
	if (!(state->flags & SOCKET_ANNOUNCED) ||
	    state->generation != call->count->announce_generation) {
		/* Userspace may have changed its mind; and who forgot the connection decides again. */
		if (state->flags & SOCKET_ANNOUNCED)
			take_verdict(state);
		if (!is_followed(state) && state->protocol != WIRE_PROTOCOL_UNDETERMINED) {
			state->generation = call->count->announce_generation;
			call->count->dropped[state->protocol == WIRE_PROTOCOL_TLS ?
						     DROP_ENCRYPTED :
						     DROP_UNCLASSIFIED]++;
			return;
		}
		if (state->protocol == WIRE_PROTOCOL_FOLLOWED)
			begin_probing(state);
		if (!announce(state, call->sk, call->task, call->count)) {
			shed_for_a_while(call);
			return;
		}
	}
	if (!write_data(call, buffers, scratch))
		shed_for_a_while(call);
}

/*
 * One send or receive of `length` > 0 bytes by a selected thread, after it was done.
 * `tp` is sk as a tcp_sock that may be read.
 */
static __always_inline void observe(struct sock *sk, const struct tcp_sock *tp,
				    struct task_struct *task, const struct buffers *buffers,
				    __u32 length, __u8 direction)
{
	struct capture_counters *count = counters();
	struct call call = { sk, task, NULL, count, 0, length, direction };
	struct scratch *scratch;
	struct socket_state *state;
	bool turned;
	__u32 zero = 0;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!count || !scratch)
		return;
	count->seen++;
	count->bytes_seen += length;
	state = state_made(sk);
	if (!state) {
		count->dropped[DROP_NO_STORAGE]++;
		return;
	}
	call.state = state;
	if (!(state->flags & SOCKET_NAMED)) {
		name_connection(state, sk, tp);
		if (has_port_rules)
			apply_port_rules(state, sk);
	}
	turned = state->direction != direction;
	if (turned) {
		state->direction = direction;
		state->budget_used = 0;
	}
	if (direction == DIRECTION_SEND) {
		state->sent_end = sent_position(tp, state->local_start);
		call.position = state->sent_end - length;
	} else {
		state->received_end = received_position(sk, tp, state->remote_start);
		call.position = state->received_end - length;
	}
	if (count->follows_tls && is_of_tls_session(&call))
		return;
	if (count->follows_runtimes && direction == DIRECTION_SEND)
		ask_runtime(&call);
	capture(&call, buffers, scratch, turned);
	if (count->follows_tls) {
		remember_ciphertext(&call);
		if (count->follows_tls & TLS_IN_JAVA)
			tls_meet_record(&call, buffers);
	}
	if (direction == DIRECTION_RECEIVE) {
		remember_read(&call);
		if (count->follows_runtimes)
			tell_runtime(&call, turned);
	}
}

/* In connect(): what the thread read last is the cause of this connection. */
static __always_inline void remember_connect(struct sock *sk, struct task_struct *task)
{
	struct socket_state *state;
	struct thread_state *last;

	state = state_made(sk);
	if (!state)
		return;
	/* The socket may have been another connection before. */
	__builtin_memset(state, 0, sizeof(*state));
	state->flags = SOCKET_OPENED;
	last = bpf_task_storage_get(&thread_states, task, 0, 0);
	if (!last)
		return;
	state->trigger = *last;
	state->trigger.switches = last->switches != task->nvcsw;
}

static __always_inline void write_close(struct socket_state *state)
{
	struct capture_counters *count = counters();
	struct wire_close record = {};

	if (!state || !count || !(state->flags & SOCKET_ANNOUNCED))
		return;
	state->flags &= ~SOCKET_ANNOUNCED;
	fill_header(&record.header, WIRE_CLOSE, sizeof(record));
	record.socket = state->cookie;
	record.sent = state->sent_end;
	record.received = state->received_end;
	record.error = state->error;
	if (bpf_ringbuf_output(&socket_messages, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&count->closes_lost, 1);
	else
		__sync_fetch_and_add(&count->closes, 1);
}

/*
 * What did a thread sleep for? An event loop that waits for a lock is still in the same turn;
 * one that waited for events is not. Only threads that have read something are looked at.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(thread_switched, bool preempt, struct task_struct *previous)
{
	struct thread_state *last;
	struct syscall call;

	if (preempt)
		return 0;
	last = bpf_task_storage_get(&thread_states, previous, 0, 0);
	if (!last || last->waited || last->judged == previous->nvcsw)
		return 0;
	last->judged = previous->nvcsw;
	read_syscall(&call, (struct pt_regs *)bpf_task_pt_regs(previous));
	last->waited = waits_for_events(call.number);
	return 0;
}

/* SYN_SENT is entered inside connect(); CLOSE wherever the connection ends. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state_changed, struct sock *sk, int old_state, int new_state)
{
	struct socket_state *state;
	struct task_struct *task;

	if (new_state == TCP_SYN_SENT) {
		task = bpf_get_current_task_btf();
		if (is_selected(task) && is_tcp(sk)) {
			write_close(state_of(sk));
			remember_connect(sk, task);
		}
	} else if (new_state == TCP_CLOSE) {
		/* The process's next call takes sk_err away. */
		state = state_of(sk);
		if (state)
			state->error = FIELD(sk, sk_err);
	}
	return 0;
}

/* After the last read: data can be read from a socket in the state CLOSE. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_destroyed, struct sock *sk)
{
	struct capture_counters *count = counters();
	struct socket_state *state = state_of(sk);
	__u64 address = (__u64)sk;

	if (state && count && count->follows_tls)
		bpf_map_delete_elem(&tls_sockets, &state->cookie);
	write_close(state);
	state_gone(sk);
	bpf_map_delete_elem(&go_callers, &address);
	return 0;
}

#endif
