/* SPDX-License-Identifier: GPL-2.0 */
/* Knobs, maps, and what is kept of a thread and of a socket. */
#ifndef BACKSTITCH_STATE_BPF_H
#define BACKSTITCH_STATE_BPF_H

#include "buffers.bpf.h"
#include "wire.h"
#include "selection.bpf.h"

/* Payload bytes captured of one message, that is until the direction changes. */
const volatile __u32 capture_bytes_max = 8192;
/* How long a connection is shed after the ring was full, ns. */
const volatile __u64 shed_ns = 1000000000;

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
#define SOCKET_MANY_BUFFERS 0x40 /* a message's first buffer was not enough */

#define DIRECTION_NONE 0
#define DIRECTION_SEND 1
#define DIRECTION_RECEIVE 2

/* Async ids that Node gave to a connection for one request. */
struct node_own {
	__u64 first;
	__u64 last;
};

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
	__u8 direction;
	__u16 probe_turns; /* while undetermined: changes of direction, */
	__u64 shed_until_ns;
	__u32 probe_bytes; /* an upper bound of what was captured, */
	__u32 probe_calls; /* and calls since the last change of direction */
	struct thread_state trigger; /* of connect(); switches: 1 if the thread slept since */
	__u32 error;
	/* Of UDP sockets: the message of sendmmsg or recvmmsg that comes next, to whom it sent last. */
	__u32 message_index;
	union {
		struct {
			__u64 messages;
			__u64 message_ns;
		};
		struct node_own own; /* of TCP: of the latest request, where Node wrote it */
	};
	struct wire_peer peer;
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

#endif
