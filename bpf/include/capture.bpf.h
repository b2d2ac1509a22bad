/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of one send or receive: shared by the objects that see them in different
 * ways (socket_messages.bpf.c, socket_syscalls.bpf.c). Reads top down: knobs, maps, state,
 * names and positions, records, the one function that both call (observe), and the programs
 * at the beginning and end of connections.
 */
#ifndef BACKSTITCH_CAPTURE_BPF_H
#define BACKSTITCH_CAPTURE_BPF_H

#include "buffers.bpf.h"
#include "wire.h"
#include "selection.bpf.h"
#include "classify.bpf.h"
#include "syscall.bpf.h"
#include "../generated/codes.h"

/* Payload bytes captured of one message, that is until the direction changes. */
const volatile __u32 capture_bytes_max = 8192;
/* How long a connection is shed after the ring was full, ns. */
const volatile __u64 shed_ns = 1000000000;

/* Calls on a connection that are looked at for a known protocol beyond changes of direction. */
#define TRIES_MAX 16
/* Calls up to this size are captured past the budget too: chunk framing, terminators. */
#define SMALL_CALL 128

/* Drained by userspace on a timer; when full, the connection is shed and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} socket_messages SEC(".maps");

/* One entry a CPU: userspace sets the size before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture_counters);
} capture_counters SEC(".maps");

/* Tracepoints run with preemption off, so one record a CPU is being built at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* What a thread read last. */
struct thread_state {
	__u64 socket;
	__u64 position; /* one past its last byte */
	__u64 switches; /* task->nvcsw at that time */
	__u64 judged; /* the last task->nvcsw that thread_switched looked at */
	__u64 waited; /* 1: since that time it slept for events or for a time to pass */
	__u64 uring_request; /* address of the io_uring request that it submitted last */
};

/* Inserted by a selected thread's first read; freed by the kernel with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} thread_states SEC(".maps");

#define SOCKET_NAMED 0x01     /* start numbers and cookie are known */
#define SOCKET_ANNOUNCED 0x02 /* wire_connection was written */
#define SOCKET_SHED 0x04      /* until a request's head */
#define SOCKET_TOLD 0x08      /* DATA_SHED was written */
#define SOCKET_OPENED 0x10    /* connect() was seen; trigger is what came before it */
#define SOCKET_COLLECTING 0x20 /* prefix holds the first bytes of a message */
#define SOCKET_MANY_BUFFERS 0x40 /* a message's first buffer was not enough */

#define DIRECTION_NONE 0
#define DIRECTION_SEND 1
#define DIRECTION_RECEIVE 2

/* What every call touches comes first, so that it shares a cache line. */
struct socket_state {
	__u64 cookie;
	__u64 sent_end; /* stream positions reached by watched calls */
	__u64 received_end;
	__u32 local_start;
	__u32 remote_start;
	__u32 budget_used;
	__u32 generation; /* of the wire_connection that was written */
	__u16 rank; /* 0–999, the same at both ends */
	__u8 flags;
	__u8 peer_flags; /* CONNECTION_ flags of the record */
	__u8 protocol;
	__u8 tries;
	__u8 direction;
	__u8 prefix_length;
	__u64 shed_until_ns;
	__u64 prefix; /* first bytes of a message that came in pieces */
	struct thread_state trigger; /* of connect(); switches: 1 if the thread slept since */
	__u32 error;
	__u32 reserved;
};

#include "socket-states.bpf.h"

static __always_inline struct capture_counters *counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&capture_counters, &cpu);
}

static __always_inline bool is_selected(struct task_struct *task)
{
	struct selection *selection = bpf_task_storage_get(&selected_tasks, task, 0, 0);

	return selection && selection->target && !selection->pending;
}

static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = FIELD(sk, __sk_common.skc_family);

	return FIELD(sk, sk_protocol) == IPPROTO_TCP && (family == AF_INET || family == AF_INET6);
}

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
	struct wire_connection record = {};

	fill_header(&record.header, WIRE_CONNECTION, sizeof(record));
	record.socket = state->cookie;
	record.tgid = task->tgid;
	record.netns = FIELD2(sk, __sk_common.skc_net.net, ns.inum);
	record.cgroup_id = bpf_get_current_cgroup_id();
	record.local_start = state->local_start;
	record.remote_start = state->remote_start;
	record.flags = state->peer_flags;
	record.protocol = state->protocol;
	fill_addresses(&record, sk);
	if (bpf_ringbuf_output(&socket_messages, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		return false;
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
};

static __always_inline void fill_data(struct wire_data *record, const struct call *call)
{
	fill_header(&record->header, WIRE_DATA, sizeof(*record));
	record->socket = call->state->cookie;
	record->position = call->position;
	record->length = call->length;
	record->captured = 0;
	record->flags = call->direction == DIRECTION_SEND ? DATA_SEND : 0;
	record->reserved = 0;
	record->tgid = call->task->tgid;
	record->tid = call->task->pid;
	record->trigger_socket = 0;
	record->trigger_position = 0;
	*(__u64 *)record->tail = 0;
}

/*
 * What the thread read last; or, on a connection's first send, what came before connect().
 * Not for the side that accepted: it answers.
 */
static __always_inline void fill_trigger(struct wire_data *record, const struct call *call)
{
	struct socket_state *state = call->state;
	struct thread_state *last;

	if (state->peer_flags & CONNECTION_ACCEPTER)
		return;
	if (state->flags & SOCKET_OPENED) {
		state->flags &= ~SOCKET_OPENED;
		record->trigger_socket = state->trigger.socket;
		record->trigger_position = state->trigger.position;
		record->flags |= DATA_TRIGGER_CONNECT;
		if (state->trigger.switches)
			record->flags |= DATA_SLEPT;
		if (state->trigger.waited)
			record->flags |= DATA_WAITED;
		return;
	}
	last = bpf_task_storage_get(&thread_states, call->task, 0, 0);
	if (!last)
		return;
	record->trigger_socket = last->socket;
	record->trigger_position = last->position;
	if (last->switches != call->task->nvcsw)
		record->flags |= DATA_SLEPT;
	if (last->waited)
		record->flags |= DATA_WAITED;
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

static __always_inline void shed_for_a_while(const struct call *call)
{
	call->state->flags |= SOCKET_SHED;
	call->state->shed_until_ns = bpf_ktime_get_ns() + shed_ns;
	call->count->dropped[DROP_RING_FULL]++;
}

/* Says once that the connection is shed, so that userspace gives up what it has open. */
static __always_inline void tell_shed(const struct call *call)
{
	struct wire_data record = {};

	if ((call->state->flags & (SOCKET_ANNOUNCED | SOCKET_TOLD)) != SOCKET_ANNOUNCED)
		return;
	fill_data(&record, call);
	record.flags |= DATA_SHED | DATA_NO_PAYLOAD;
	if (bpf_ringbuf_output(&socket_messages, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		return;
	call->state->flags |= SOCKET_TOLD;
	call->count->markers++;
}

/* Is the call left out because its connection is shed? Captures again at a request's head. */
static __always_inline bool is_shed(const struct call *call, const struct buffers *buffers,
				    struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;
	bool now = state->rank < call->count->shed_per_mille;

	if (!now && !(state->flags & SOCKET_SHED))
		return false;
	if (!now && turned && state->shed_until_ns < bpf_ktime_get_ns()) {
		if (gather(scratch, buffers, 8) == 8 &&
		    classify_request(*(__u64 *)scratch->payload)) {
			state->flags &= ~(SOCKET_SHED | SOCKET_TOLD);
			return false;
		}
	}
	state->flags |= SOCKET_SHED;
	tell_shed(call);
	return true;
}

/* The bytes of a head that came before the call with which the connection was recognised. */
static __always_inline bool write_prefix(const struct call *call, __u32 length, __u64 bytes)
{
	struct {
		struct wire_data data;
		__u64 payload;
	} record = {};

	fill_data(&record.data, call);
	record.data.header.size = sizeof(record);
	record.data.position = call->position - length;
	record.data.length = length;
	record.data.captured = length;
	record.payload = bytes;
	if (call->direction == DIRECTION_SEND)
		fill_trigger(&record.data, call);
	call->count->prefixes++;
	return !bpf_ringbuf_output(&socket_messages, &record, sizeof(record), BPF_RB_NO_WAKEUP);
}

/*
 * Looks at the first eight bytes of a message, which may come in several calls. True when
 * this call's connection is known from here on.
 */
static __always_inline bool recognise(const struct call *call, const struct buffers *buffers,
				      struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;
	__u32 held = state->prefix_length & 7;
	__u64 first = 0;
	int got;

	if (turned || !(state->flags & SOCKET_COLLECTING)) {
		if (!turned && state->tries >= TRIES_MAX)
			return false;
		if (state->tries < TRIES_MAX)
			state->tries++;
		held = 0;
	}
	*(__u64 *)scratch->payload = 0;
	got = gather(scratch, buffers, call->length < 8 ? call->length : 8);
	if (got <= 0) {
		state->flags &= ~SOCKET_COLLECTING;
		return false;
	}
	first = *(__u64 *)scratch->payload;
	if (held)
		first = first << 8 * held | state->prefix;
	state->prefix = first;
	if (held + got < 8) {
		state->prefix_length = held + got;
		state->flags |= SOCKET_COLLECTING;
		return false;
	}
	state->flags &= ~SOCKET_COLLECTING;
	state->protocol = classify(first);
	if (state->protocol == WIRE_PROTOCOL_UNKNOWN)
		return false;
	state->prefix_length = held;
	return true;
}

/* How much of this call to copy: what is left for this message, small calls always. */
static __always_inline __u32 share_of(const struct call *call)
{
	struct socket_state *state = call->state;
	__u32 used = state->budget_used;
	__u32 left = used < capture_bytes_max ? capture_bytes_max - used : 0;

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

/* Copies from the process into the ring at once. A reservation has a constant size. */
#define SMALL_PAYLOAD 440
struct small_record {
	struct wire_data data;
	__u8 payload[SMALL_PAYLOAD];
};

static __always_inline bool write_small(const struct call *call, __u64 base)
{
	struct small_record *record = bpf_ringbuf_reserve(&socket_messages, sizeof(*record), 0);
	__u32 captured = call->length;

	if (!record)
		return false;
	fill_data(&record->data, call);
	if (call->direction == DIRECTION_SEND)
		fill_trigger(&record->data, call);
	/* The compiler knows the bound; the verifier has to see it. */
	barrier_var(captured);
	if (captured > SMALL_PAYLOAD ||
	    bpf_probe_read_user(record->payload, captured, (void *)base)) {
		captured = 0;
		record->data.flags |= DATA_NO_PAYLOAD;
		call->count->no_payload[NO_PAYLOAD_FAULT]++;
	}
	record->data.captured = captured;
	record->data.header.size = sizeof(record->data) + captured;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	count_written(call, captured);
	return true;
}

#define NOT_WRITTEN 0
#define WRITTEN 1
#define RING_FULL 2

/*
 * A message in several buffers, of which the first may be all that is needed: without the
 * scratch, and without reading the others.
 */
static __always_inline int write_first_buffer(const struct call *call,
					      const struct buffers *buffers, __u32 share)
{
	struct small_record *record;
	struct user_iovec first;
	__u64 length;

	if (bpf_probe_read_user(&first, sizeof(first), (void *)buffers->base))
		return NOT_WRITTEN;
	length = first.length;
	if (length > share)
		return NOT_WRITTEN;
	if (length >= call->length)
		return length > SMALL_PAYLOAD	       ? NOT_WRITTEN :
		       write_small(call, first.base) ? WRITTEN :
						       RING_FULL;
	/* The verifier has to see the bound on the very register that is used. */
	barrier_var(length);
	if (length > SMALL_PAYLOAD)
		return NOT_WRITTEN;
	record = bpf_ringbuf_reserve(&socket_messages, sizeof(*record), 0);
	if (!record)
		return RING_FULL;
	if (bpf_probe_read_user(record->payload, length, (void *)first.base) ||
	    !is_whole_head(record->payload, length, SMALL_PAYLOAD)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		call->state->flags |= SOCKET_MANY_BUFFERS;
		return NOT_WRITTEN;
	}
	fill_data(&record->data, call);
	if (call->direction == DIRECTION_SEND)
		fill_trigger(&record->data, call);
	record->data.captured = length;
	record->data.header.size = sizeof(record->data) + length;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	count_written(call, length);
	return WRITTEN;
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

static __always_inline bool write_data(const struct call *call, const struct buffers *buffers,
				       struct scratch *scratch)
{
	struct wire_data *record = &scratch->data;
	__u32 share = share_of(call);
	__u32 captured;

	if (buffers->kind == BUFFERS_ONE && share == call->length && share <= SMALL_PAYLOAD)
		return write_small(call, buffers->base);
	if (buffers->kind == BUFFERS_VECTOR && !call->state->budget_used &&
	    !(call->state->flags & SOCKET_MANY_BUFFERS)) {
		int done = write_first_buffer(call, buffers, share);

		if (done != NOT_WRITTEN)
			return done == WRITTEN;
	}
	fill_data(record, call);
	if (call->direction == DIRECTION_SEND)
		fill_trigger(record, call);
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

static __always_inline void capture(const struct call *call, const struct buffers *buffers,
				    struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;
	__u32 prefix = 0;
	__u64 prefix_bytes = 0;

	if (state->protocol == WIRE_PROTOCOL_UNKNOWN) {
		__u64 before = state->prefix;

		if (!recognise(call, buffers, scratch, turned)) {
			call->count->dropped[DROP_UNCLASSIFIED]++;
			return;
		}
		prefix = state->prefix_length;
		prefix_bytes = before;
	}
	if (is_shed(call, buffers, scratch, turned)) {
		call->count->dropped[DROP_SHED]++;
		return;
	}
	if ((!(state->flags & SOCKET_ANNOUNCED) ||
	     state->generation != call->count->announce_generation) &&
	    !announce(state, call->sk, call->task, call->count)) {
		shed_for_a_while(call);
		return;
	}
	if (prefix && !write_prefix(call, prefix, prefix_bytes)) {
		shed_for_a_while(call);
		return;
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
	if (!(state->flags & SOCKET_NAMED))
		name_connection(state, sk, tp);
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
	capture(&call, buffers, scratch, turned);
	if (direction == DIRECTION_RECEIVE)
		remember_read(&call);
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

static __always_inline void write_close(struct sock *sk)
{
	struct socket_state *state = state_of(sk);
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
			write_close(sk);
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
	write_close(sk);
	state_gone(sk);
	return 0;
}

#endif
