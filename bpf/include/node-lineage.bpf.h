/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In which turn of its event loop did a Node process make the request that it writes now? Node
 * numbers what it begins (async ids), and keeps the number of what it runs, of what began that, and
 * of the newest in an array of doubles. A request that waits in an agent's queue for a connection
 * gets a number then, and is written in the name of that number; what the thread had read when it was
 * given is the cause. Read at the sockets; no uprobe.
 */
#ifndef BACKSTITCH_NODE_LINEAGE_BPF_H
#define BACKSTITCH_NODE_LINEAGE_BPF_H

#include "lineage.bpf.h"

/* The array: async_id_fields of AsyncHooks, doubles. */
struct node_ids {
	__u64 executing;
	__u64 trigger; /* in whose name */
	__u64 newest;
	__u64 unused;
};

/* One read by the thread of the event loop. */
struct node_turn {
	__u64 newest; /* id at that time: what it brought about has a higher one */
	struct origin read;
};

#define NODE_TURNS 2048

struct node_turns {
	__u64 count; /* turns so far; turn N is at N % NODE_TURNS */
	struct node_turn turns[NODE_TURNS];
};

/* By wire_runtime.slot, which userspace gives; with no slot a process is not followed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NODE_SLOTS);
	__type(key, __u32);
	__type(value, struct node_turns);
} node_turns SEC(".maps");

/* Ids are whole numbers below 2^53, in doubles. */
static __always_inline __u64 whole_number(__u64 bits)
{
	__u64 exponent = bits >> 52;

	if (exponent < 1023 || exponent > 1075)
		return 0;
	return ((bits & ((1ULL << 52) - 1)) | 1ULL << 52) >> ((1075 - exponent) & 63);
}

static __always_inline bool read_node_ids(const struct wire_runtime *runtime,
					  struct node_ids *ids)
{
	if (bpf_probe_read_user(ids, sizeof(*ids), (void *)runtime->table))
		return false;
	ids->executing = whole_number(ids->executing);
	ids->trigger = whole_number(ids->trigger);
	ids->newest = whole_number(ids->newest);
	return true;
}

static __always_inline struct node_turns *turns_of(const struct wire_runtime *runtime)
{
	__u32 slot = runtime->slot;

	return bpf_map_lookup_elem(&node_turns, &slot);
}

/* A turn begins: the thread of the event loop has read `position` bytes of `socket`. */
__noinline int node_reads(const struct wire_runtime *runtime, __u64 socket, __u64 position)
{
	struct node_turns *turns;
	struct node_turn *turn;
	struct node_ids ids;

	if (!runtime)
		return 0;
	turns = turns_of(runtime);
	if (!turns || !read_node_ids(runtime, &ids))
		return 0;
	turn = &turns->turns[turns->count % NODE_TURNS];
	turn->newest = ids.newest;
	turn->read.socket = socket;
	turn->read.position = position;
	turns->count++;
	return 0;
}

/* The read in whose turn an id was given: 0 for the present one or an unknown one. */
static __always_inline struct node_turn *turn_of(struct node_turns *turns, __u64 id)
{
	__u64 end = turns->count, begin = end > NODE_TURNS ? end - NODE_TURNS : 0;
	__u64 middle;

	if (end == 0 || turns->turns[begin % NODE_TURNS].newest >= id)
		return NULL;
	/* turns[begin].newest < id <= turns[end].newest, as it were. 2^11 turns. */
	for (int step = 0; step < 12; step++) {
		if (end - begin <= 1)
			break;
		middle = (begin + end) / 2;
		if (turns->turns[middle % NODE_TURNS].newest < id)
			begin = middle;
		else
			end = middle;
	}
	return &turns->turns[begin % NODE_TURNS];
}

/*
 * The process writes a request on a connection. origin: what the thread read last, if it was a response
 * on that very connection. Did the request wait in an agent's queue for the connection? Ids that the
 * connection itself got with its previous request say nothing of that. Returns a LINEAGE_; sets
 * the origin if the request waited.
 */
__noinline int node_asks(const struct wire_runtime *runtime, struct node_own *own,
			 struct origin *origin)
{
	struct node_turns *turns;
	struct node_turn *turn;
	struct node_own before;
	struct node_ids ids;

	if (!runtime || !own || !origin || !read_node_ids(runtime, &ids) || !ids.newest)
		return LINEAGE_NONE;
	before = *own;
	/* Its handle's id is the one before that of the task that assigned it, its parser's after. */
	own->first = ids.executing ? ids.executing - 1 : 0;
	own->last = ids.executing ? ids.newest : 0;
	turns = turns_of(runtime);
	if (!turns || !origin->socket || !before.last)
		return LINEAGE_NONE;
	/* A queue of the application's own, of promises or of callbacks, looks like this, too. */
	if (ids.trigger == 0 || (ids.trigger >= before.first && ids.trigger <= before.last))
		return LINEAGE_NODE_NOW;
	turn = turn_of(turns, ids.trigger);
	if (!turn)
		return LINEAGE_UNKNOWN;
	*origin = turn->read;
	return LINEAGE_NODE;
}

#endif
