/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For which incoming request does a thread work just now, by its language runtime? Written by
 * the programs at sockets and by the uprobes of runtimes.bpf.c, which shares these maps.
 */
#ifndef BACKSTITCH_LINEAGE_BPF_H
#define BACKSTITCH_LINEAGE_BPF_H

#include "kernel.h"
#include "wire.h"

/* An incoming request: the socket and one past the last byte read of it. 0: none. */
struct origin {
	__u64 socket;
	__u64 position;
};

/* Userspace inserts and deletes with the selection of processes; full: not followed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct wire_runtime);
} runtime_processes SEC(".maps");

struct goroutine_key {
	__u64 goid; /* never used twice by a process */
	__u32 tgid;
	__u32 reserved;
};

/*
 * Goroutines that work for a request: inserted when they read one, and when one of them starts
 * another. The longest unused go; a call by one that is gone is of unknown cause.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct goroutine_key);
	__type(value, struct origin);
} goroutines SEC(".maps");

/*
 * For whom the next request on a socket is written, where a goroutine of the connection writes
 * it. By the socket's address; deleted with it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct origin);
} go_callers SEC(".maps");

struct context_key {
	__u64 context; /* address of the interpreter's object: used again after it is freed */
	__u32 tgid;
	__u32 reserved;
};

/*
 * Who has that address now: the context's id, which is when it was copied from another, or met
 * first, ns, and in the low 8 bits on which CPU. The longest unused go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct context_key);
	__type(value, __u64);
} python_contexts SEC(".maps");

#define CONTEXT_SHARED 0x01 /* it worked for several connections */

struct python_lineage {
	__u64 parent; /* id; 0: not known */
	__u64 socket; /* that it reads requests from or answers on; 0: none */
	__u32 flags;
	__u32 answered; /* requests of that connection, as far as it answered them */
	__u64 answered_last; /* number of the request on its connection, from 1 */
	__u64 read_last;
};

/*
 * What became of contexts, by id, also of those that are freed: what was copied from them goes on.
 * The longest unused go, and what came of them is of unknown cause.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct python_lineage);
} python_lineages SEC(".maps");

/* A connection that a Python process accepted: the request that it reads or answers. */
struct python_connection {
	__u64 position; /* one past the last byte read */
	__u64 since_ns; /* when the request's first byte was read */
	__u64 first_ns; /* the same of the first one */
	__u64 requests;
};

/* By socket; inserted by the first read; the longest unused go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct python_connection);
} python_connections SEC(".maps");

/*
 * What stands for a while beside the stack, which the programs at sockets have used up. They run
 * with preemption off; a uprobe does not, and has the same on its stack.
 */
struct lineage_room {
	struct context_key key;
	struct python_lineage fresh; /* all zero */
	struct python_connection first;
	struct origin origin;
	__u64 id;
};

/* One a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lineage_room);
} lineage_rooms SEC(".maps");

/* Ancestors looked at for one call. */
#define ANCESTORS_MAX 16
/* A context born this long before another is no part of the same accept. */
#define ACCEPT_NS 2000000000ULL

static __always_inline __u64 read_user_u64(__u64 address)
{
	__u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

/* g is in this register in all Go code (ABIInternal), system calls included. */
static __always_inline __u64 goroutine_of(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->r14;
#else
	return regs->regs[28];
#endif
}

/* What `goid` works for, or else the goroutine that started it. */
static __always_inline struct origin *goroutine_origin(const struct wire_runtime *runtime,
						       __u64 g, __u32 tgid)
{
	struct goroutine_key key = { .tgid = tgid };
	struct origin *origin;

	if (!g)
		return NULL;
	key.goid = read_user_u64(g + runtime->goid);
	origin = bpf_map_lookup_elem(&goroutines, &key);
	if (origin || !runtime->parent_goid)
		return origin;
	key.goid = read_user_u64(g + runtime->parent_goid);
	return key.goid ? bpf_map_lookup_elem(&goroutines, &key) : NULL;
}

static __always_inline void goroutine_works_for(const struct wire_runtime *runtime, __u64 g,
						__u32 tgid, const struct origin *origin)
{
	struct goroutine_key key = { .tgid = tgid };

	if (!g)
		return;
	key.goid = read_user_u64(g + runtime->goid);
	if (key.goid)
		bpf_map_update_elem(&goroutines, &key, origin, BPF_ANY);
}

static __always_inline __u64 thread_base(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread.fsbase;
#else
	return task->thread.uw.tp_value;
#endif
}

/* The context that the interpreter runs in on this thread; 0 for none. */
static __always_inline __u64 python_current(const struct wire_runtime *runtime,
					    const struct task_struct *task)
{
	__u64 thread = read_user_u64(thread_base(task) + runtime->thread_state);

	return thread ? read_user_u64(thread + runtime->context) : 0;
}

static __always_inline __u64 new_context_id(void)
{
	return bpf_ktime_get_ns() << 8 | (bpf_get_smp_processor_id() & 0xff);
}

/* The id of the context at this address, which gets one if it was never seen; 0: no room. */
static __always_inline __u64 context_met(struct lineage_room *room)
{
	__u64 *known = bpf_map_lookup_elem(&python_contexts, &room->key);

	if (known)
		return *known;
	room->id = new_context_id();
	if (bpf_map_update_elem(&python_contexts, &room->key, &room->id, BPF_ANY) ||
	    bpf_map_update_elem(&python_lineages, &room->id, &room->fresh, BPF_ANY))
		return 0;
	return room->id;
}

static __always_inline void python_serves(struct python_lineage *lineage, __u64 socket)
{
	if (!lineage->socket)
		lineage->socket = socket;
	else if (lineage->socket != socket)
		lineage->flags |= CONTEXT_SHARED;
}

/* Sets the key of the context that the thread is in; false when there is none. */
static __always_inline bool python_enter(struct lineage_room *room,
					 const struct wire_runtime *runtime,
					 const struct task_struct *task)
{
	room->key.context = python_current(runtime, task);
	room->key.tgid = task->tgid;
	return room->key.context;
}

/*
 * The functions from here on are not static: the verifier looks at each once, not at every call.
 *
 * asyncio accepts a connection in a task of its own, whose context is copied for the reader's
 * callback by way of one more: those three, and what is copied from them, work for it.
 */
__noinline int python_reads(struct lineage_room *room, __u32 turned)
{
	struct python_connection *connection;
	struct python_lineage *lineage;
	__u64 reader, id, number = 1, now = bpf_ktime_get_ns();
	const struct origin *origin;

	if (!room)
		return 0;
	origin = &room->origin;
	connection = bpf_map_lookup_elem(&python_connections, &origin->socket);
	if (!connection) {
		room->first.position = origin->position;
		room->first.since_ns = now;
		room->first.first_ns = now;
		room->first.requests = 1;
		bpf_map_update_elem(&python_connections, &origin->socket, &room->first, BPF_ANY);
	} else {
		connection->position = origin->position;
		if (turned) {
			connection->since_ns = now;
			connection->requests++;
		}
		number = connection->requests;
	}
	reader = context_met(room);
	id = reader;
	for (int above = 0; above < 3; above++) {
		if (!id || (id >> 8) + ACCEPT_NS < reader >> 8)
			return 0;
		lineage = bpf_map_lookup_elem(&python_lineages, &id);
		if (!lineage)
			return 0;
		python_serves(lineage, origin->socket);
		if (id == reader)
			lineage->read_last = number;
		id = lineage->parent;
	}
	return 0;
}

/* The context in which a response is written works for that connection. */
__noinline int python_answers(struct lineage_room *room)
{
	struct python_connection *connection;
	struct python_lineage *lineage;

	if (!room)
		return 0;
	room->id = context_met(room);
	lineage = bpf_map_lookup_elem(&python_lineages, &room->id);
	if (!lineage)
		return 0;
	python_serves(lineage, room->origin.socket);
	connection = bpf_map_lookup_elem(&python_connections, &room->origin.socket);
	if (!connection || lineage->answered_last == connection->requests)
		return 0;
	lineage->answered_last = connection->requests;
	lineage->answered++;
	return 0;
}

/*
 * Does what has this context work for the connection's present request? Not if an earlier one
 * brought it about; but one that was there before all requests, that answers one after the
 * other, or that read the present one does.
 */
static __always_inline bool is_present(const struct python_lineage *lineage, __u64 id,
				       const struct python_connection *connection)
{
	__u64 born_ns = id >> 8;

	return born_ns < connection->first_ns || born_ns >= connection->since_ns ||
	       lineage->answered > 1 || lineage->read_last == connection->requests;
}

/* The nearest ancestor that works for a connection tells the request. Returns a LINEAGE_. */
__noinline int python_origin(struct lineage_room *room)
{
	struct python_connection *connection;
	struct python_lineage *lineage = NULL;
	__u64 *known, serves;

	if (!room)
		return LINEAGE_NONE;
	known = bpf_map_lookup_elem(&python_contexts, &room->key);
	if (!known)
		return LINEAGE_NONE;
	room->id = *known;
	for (int depth = 0; depth < ANCESTORS_MAX; depth++) {
		lineage = bpf_map_lookup_elem(&python_lineages, &room->id);
		if (!lineage)
			return LINEAGE_NONE;
		if (lineage->socket)
			break;
		room->id = lineage->parent;
	}
	if (!lineage || !lineage->socket || lineage->flags & CONTEXT_SHARED)
		return LINEAGE_UNKNOWN;
	connection = bpf_map_lookup_elem(&python_connections, &lineage->socket);
	if (!connection)
		return LINEAGE_UNKNOWN;
	serves = room->id;
	room->id = *known;
	for (int depth = 0; depth < ANCESTORS_MAX; depth++) {
		lineage = bpf_map_lookup_elem(&python_lineages, &room->id);
		if (!lineage || !is_present(lineage, room->id, connection))
			return LINEAGE_UNKNOWN;
		if (room->id == serves)
			break;
		room->id = lineage->parent;
	}
	if (!lineage)
		return LINEAGE_UNKNOWN;
	room->origin.socket = lineage->socket;
	room->origin.position = connection->position;
	return LINEAGE_PYTHON;
}

#endif
