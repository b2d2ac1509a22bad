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

#define CONTEXT_SHARED 0x01 /* it worked for several connections */

/* A Python context: born when it was copied from another, or when it was met first. */
struct python_context {
	__u64 born_ns;
	__u64 parent;	      /* address; 0: not known */
	__u64 parent_born_ns; /* tells that what is there now is another */
	__u64 socket;	      /* that it reads requests from or answers on; 0: none */
	__u32 flags;
	__u32 reserved;
};

/* Inserted by copies; the longest unused go, and what came of them is of unknown cause. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct context_key);
	__type(value, struct python_context);
} python_contexts SEC(".maps");

/* A connection that a Python process accepted: the request that it reads or answers. */
struct python_connection {
	__u64 position; /* one past the last byte read */
	__u64 since_ns; /* when the request's first byte was read */
	__u64 requests;
};

/* By socket; inserted by the first read; the longest unused go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct python_connection);
} python_connections SEC(".maps");

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

static __always_inline struct python_context *python_met(struct context_key *key)
{
	struct python_context *known = bpf_map_lookup_elem(&python_contexts, key);
	struct python_context fresh = { .born_ns = bpf_ktime_get_ns() };

	if (known)
		return known;
	bpf_map_update_elem(&python_contexts, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&python_contexts, key);
}

static __always_inline void python_serves(struct python_context *context, __u64 socket)
{
	if (!context->socket)
		context->socket = socket;
	else if (context->socket != socket)
		context->flags |= CONTEXT_SHARED;
}

/* The one that `context` was copied from, as long as it is still that one. */
static __always_inline struct python_context *
python_parent(const struct python_context *context, struct context_key *key)
{
	struct python_context *parent;

	if (!context->parent)
		return NULL;
	key->context = context->parent;
	parent = bpf_map_lookup_elem(&python_contexts, key);
	return parent && parent->born_ns == context->parent_born_ns ? parent : NULL;
}

/*
 * asyncio accepts a connection in a task of its own, whose context is copied for the reader's
 * callback by way of one more: those three, and what is copied from them, work for it.
 */
static __always_inline void python_reads(const struct wire_runtime *runtime,
					 const struct task_struct *task,
					 const struct origin *origin, bool turned)
{
	struct python_connection *connection, first = { .since_ns = bpf_ktime_get_ns() };
	struct context_key key = { python_current(runtime, task), task->tgid };
	struct python_context *context;
	__u64 born;

	if (!key.context)
		return;
	connection = bpf_map_lookup_elem(&python_connections, &origin->socket);
	if (!connection) {
		first.position = origin->position;
		first.requests = 1;
		bpf_map_update_elem(&python_connections, &origin->socket, &first, BPF_ANY);
	} else {
		connection->position = origin->position;
		if (turned) {
			connection->since_ns = first.since_ns;
			connection->requests++;
		}
	}
	context = python_met(&key);
	if (!context)
		return;
	born = context->born_ns;
	python_serves(context, origin->socket);
	for (int above = 0; above < 2; above++) {
		context = python_parent(context, &key);
		if (!context || context->born_ns + ACCEPT_NS < born)
			return;
		python_serves(context, origin->socket);
	}
}

/* The context in which a response is written works for that connection. */
static __always_inline void python_answers(const struct wire_runtime *runtime,
					   const struct task_struct *task, __u64 socket)
{
	struct context_key key = { python_current(runtime, task), task->tgid };
	struct python_context *context;

	if (!key.context)
		return;
	context = python_met(&key);
	if (context)
		python_serves(context, socket);
}

/* The nearest ancestor that works for a connection tells the request. Returns a LINEAGE_. */
static __always_inline __u8 python_origin(struct origin *to, const struct wire_runtime *runtime,
					  const struct task_struct *task)
{
	struct context_key key = { python_current(runtime, task), task->tgid };
	struct python_connection *connection;
	struct python_context *context;
	__u64 below_born_ns = 0;

	if (!key.context)
		return LINEAGE_NONE;
	context = bpf_map_lookup_elem(&python_contexts, &key);
	for (int depth = 0; depth < ANCESTORS_MAX; depth++) {
		if (!context)
			return LINEAGE_NONE;
		if (context->flags & CONTEXT_SHARED)
			return LINEAGE_UNKNOWN;
		if (context->socket)
			break;
		below_born_ns = context->born_ns;
		context = python_parent(context, &key);
	}
	if (!context || !context->socket)
		return LINEAGE_UNKNOWN;
	connection = bpf_map_lookup_elem(&python_connections, &context->socket);
	if (!connection)
		return LINEAGE_UNKNOWN;
	/* What an earlier request of the connection started works for that one. */
	if (below_born_ns && connection->requests > 1 && below_born_ns < connection->since_ns)
		return LINEAGE_UNKNOWN;
	to->socket = context->socket;
	to->position = connection->position;
	return LINEAGE_PYTHON;
}

#endif
