/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For which incoming request does a thread of a JVM work? Our agent in the JVM (java-agent/) gives
 * each task, and each read of a socket, a context of its own, and writes the thread's context where
 * the programs at sockets read it. Here is kept which request was read in which context.
 */
#ifndef BACKSTITCH_JAVA_LINEAGE_BPF_H
#define BACKSTITCH_JAVA_LINEAGE_BPF_H

#include "lineage.bpf.h"

/* A line of the table in the JVM; written by java-agent's Slots.java. */
struct java_slot {
	__u64 own; /* context of what the thread does; 0: nothing is known */
	__u64 parent; /* in which that was handed over; 0: none */
	__u64 since_ns; /* when */
	__u64 tls_object; /* the TLS session that the thread is in a call of; 0: none */
	__u64 message; /* address of its struct java_message; 0: none */
};

#define JAVA_SLOT_BYTES 64
#define JAVA_SLOTS 8192

struct java_thread {
	__u64 slot;
};

/* Inserted when a thread tells its slot; freed with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct java_thread);
} java_threads SEC(".maps");

struct java_key {
	__u64 context; /* never used twice by a JVM */
	__u32 tgid;
	__u32 reserved;
};

#define JAVA_SHARED 0x01 /* requests of several connections were read in one context */

struct java_origin {
	struct origin origin; /* socket 0: known to be unknown */
	__u64 since_ns; /* what was handed over before that is not of this request */
	__u64 flags;
};

/*
 * Contexts in which a socket was read. Inserted by each read; the longest unused go, and what was
 * handed over in one that is gone is of unknown cause.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct java_key);
	__type(value, struct java_origin);
} java_origins SEC(".maps");

struct java_caller {
	struct origin origin;
	__u64 awaits; /* 1: something was sent since the last read */
	__u64 shared; /* 1: calls of several requests were under way at once */
};

/* For whom was sent last on a connection, by socket; the longest unused go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct java_caller);
} java_callers SEC(".maps");

/* What is a TLS record's own: behind its header. */
struct java_record {
	__u64 bytes[2];
};

/* As lineage_room. */
struct java_room {
	struct java_record record;
	struct user_iovec first;
	struct java_slot slot;
	struct java_key key;
	struct java_origin made;
	struct java_caller caller;
	struct origin origin;
	__u64 socket;
	__u64 turned;
};

/* One a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct java_room);
} java_rooms SEC(".maps");

static __always_inline bool java_slot_of(struct java_slot *slot, const struct wire_runtime *runtime,
					 struct task_struct *task)
{
	struct java_thread *thread = bpf_task_storage_get(&java_threads, task, 0, 0);
	__u64 at;

	if (!thread || !runtime->table || thread->slot >= JAVA_SLOTS)
		return false;
	at = runtime->table + thread->slot * JAVA_SLOT_BYTES;
	return !bpf_probe_read_user(slot, sizeof(*slot), (void *)at);
}

static __always_inline struct java_room *java_room(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&java_rooms, &zero);
}

/* The TLS session that a thread of a JVM is in a call of; 0: none. */
static __always_inline __u64 java_tls_object(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct wire_runtime *runtime = bpf_map_lookup_elem(&runtime_processes, &tgid);
	struct java_room *room = java_room();

	if (!runtime || !room || runtime->kind != RUNTIME_JAVA ||
	    !java_slot_of(&room->slot, runtime, task))
		return 0;
	return room->slot.tls_object;
}

/* Sets the key of the context that the thread is in; false when there is none. */
static __always_inline bool java_enter(struct java_room *room, const struct wire_runtime *runtime,
				       struct task_struct *task)
{
	if (!java_slot_of(&room->slot, runtime, task))
		return false;
	room->key.context = room->slot.own;
	room->key.tgid = task->tgid;
	return room->key.context;
}

/* Of a context that a task was handed over in, what it was then. */
static __always_inline struct java_origin *java_parent(struct java_room *room)
{
	struct java_origin *known;

	if (!room->slot.parent)
		return NULL;
	room->key.context = room->slot.parent;
	known = bpf_map_lookup_elem(&java_origins, &room->key);
	room->key.context = room->slot.own;
	if (!known || known->flags & JAVA_SHARED || known->since_ns > room->slot.since_ns)
		return NULL;
	return known;
}

/* The present context reads the request in room->origin. */
__noinline int java_reads(struct java_room *room)
{
	struct java_origin *known;

	if (!room)
		return 0;
	known = bpf_map_lookup_elem(&java_origins, &room->key);
	if (!known) {
		room->made.origin = room->origin;
		room->made.since_ns = bpf_ktime_get_ns();
		room->made.flags = 0;
		bpf_map_update_elem(&java_origins, &room->key, &room->made, BPF_ANY);
		return 0;
	}
	if (known->origin.socket != room->origin.socket)
		known->flags |= JAVA_SHARED;
	if (room->turned)
		known->since_ns = bpf_ktime_get_ns();
	known->origin = room->origin;
	return 0;
}

/* The present context reads an answer: it goes on with what the call was for. */
__noinline int java_is_answered(struct java_room *room)
{
	struct java_caller *caller;
	struct java_origin *parent;

	if (!room)
		return 0;
	room->made.origin.socket = 0;
	room->made.origin.position = 0;
	room->made.since_ns = bpf_ktime_get_ns();
	room->made.flags = 0;
	parent = java_parent(room);
	if (parent)
		room->made.origin = parent->origin;
	caller = bpf_map_lookup_elem(&java_callers, &room->socket);
	if (caller) {
		caller->awaits = 0;
		if (!caller->shared && caller->origin.socket)
			room->made.origin = caller->origin;
	}
	bpf_map_update_elem(&java_origins, &room->key, &room->made, BPF_ANY);
	return 0;
}

/* Remembers for whom the socket is sent on, while no other's call is under way there. */
static __always_inline void java_calls(struct java_room *room)
{
	struct java_caller *caller = bpf_map_lookup_elem(&java_callers, &room->socket);

	if (!caller) {
		room->caller.origin = room->origin;
		room->caller.awaits = 1;
		room->caller.shared = 0;
		bpf_map_update_elem(&java_callers, &room->socket, &room->caller, BPF_ANY);
		return;
	}
	if (caller->awaits && !room->origin.socket)
		return;
	if (caller->awaits && caller->origin.socket &&
	    (caller->origin.socket != room->origin.socket ||
	     caller->origin.position != room->origin.position))
		caller->shared = 1;
	caller->awaits = 1;
	caller->origin = room->origin;
}

/* For whom the present context sends, into room->origin. Returns a LINEAGE_. */
__noinline int java_origin_of(struct java_room *room)
{
	struct java_origin *known;

	if (!room)
		return LINEAGE_NONE;
	room->origin.socket = 0;
	room->origin.position = 0;
	known = bpf_map_lookup_elem(&java_origins, &room->key);
	if (!known)
		known = java_parent(room);
	if (known && !(known->flags & JAVA_SHARED))
		room->origin = known->origin;
	java_calls(room);
	return room->origin.socket ? LINEAGE_JAVA : LINEAGE_UNKNOWN;
}

#endif
