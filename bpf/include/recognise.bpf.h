/* SPDX-License-Identifier: GPL-2.0 */
/* Which protocol a connection speaks, by the first bytes of its messages. */
#ifndef BACKSTITCH_RECOGNISE_BPF_H
#define BACKSTITCH_RECOGNISE_BPF_H

#include "classify.bpf.h"
#include "state.bpf.h"
#include "records.bpf.h"

/* Bit n: connections of WIRE_PROTOCOL_ n are not captured. */
const volatile __u32 protocols_disabled = 0;
/* Is there anything in port_rules? */
const volatile bool has_port_rules = false;

/* Without a verdict after so many changes of direction there will be none. */
#define PROBE_TURNS_PATIENCE 1024
/* Calls in one direction that look for a verdict. */
#define PROBE_CALLS_MAX 4096

/*
 * By socket. Inserted by userspace for undetermined connections; deleted by their next call. The
 * longest unused go: userspace inserts again when DATA_UNDETERMINED goes on.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct wire_verdict);
} verdicts SEC(".maps");

/* By port, PORT_ bits; filled before programs are attached. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} port_rules SEC(".maps");

/* The one test that a call on a known connection pays. */
static __always_inline bool is_followed(const struct socket_state *state)
{
	return (__u8)(state->protocol - 1) < WIRE_PROTOCOL_FOLLOWED;
}

static __always_inline __u32 rules_of_port(__u32 port)
{
	__u32 *rules = bpf_map_lookup_elem(&port_rules, &port);

	return rules ? *rules : 0;
}

static __always_inline void begin_probing(struct socket_state *state)
{
	state->protocol = WIRE_PROTOCOL_UNDETERMINED;
	state->probe_turns = 0;
	state->probe_bytes = 0;
	state->probe_calls = 0;
}

static __always_inline void apply_port_rules(struct socket_state *state, struct sock *sk)
{
	__u32 rules = rules_of_port(FIELD(sk, __sk_common.skc_num)) |
		      rules_of_port(bpf_ntohs(FIELD(sk, __sk_common.skc_dport)));

	if (rules & PORT_IGNORED)
		state->protocol = WIRE_PROTOCOL_IGNORED;
	else if (rules & PORT_ASK)
		begin_probing(state);
}

/* By the first eight bytes of a call. Fewer, or such as nobody knows: userspace decides. */
static __always_inline void recognise(const struct call *call, const struct buffers *buffers,
				      struct scratch *scratch)
{
	struct socket_state *state = call->state;
	__u8 protocol;
	int got;

	*(__u64 *)scratch->payload = 0;
	got = gather(scratch, buffers, call->length < 8 ? call->length : 8);
	if (got <= 0)
		return;
	protocol = classify(*(__u64 *)scratch->payload, got);
	if (protocol == WIRE_PROTOCOL_UNKNOWN)
		begin_probing(state);
	else if (protocol < 32 && protocols_disabled >> protocol & 1)
		state->protocol = WIRE_PROTOCOL_IGNORED;
	else
		state->protocol = protocol;
}

/* Takes over what userspace decided. */
static __always_inline void take_verdict(struct socket_state *state)
{
	struct wire_verdict *verdict = bpf_map_lookup_elem(&verdicts, &state->cookie);

	if (!verdict)
		return;
	if (verdict->local_start == state->local_start)
		state->protocol = verdict->protocol;
	bpf_map_delete_elem(&verdicts, &state->cookie);
}

/* Is there something left of what may be captured while nobody has decided? */
static __always_inline bool probe(const struct call *call, bool turned)
{
	struct socket_state *state = call->state;

	if (turned) {
		state->probe_turns++;
		state->probe_calls = 0;
	}
	if (state->probe_turns >= PROBE_TURNS_PATIENCE)
		state->protocol = WIRE_PROTOCOL_IGNORED;
	if (state->probe_turns > PROBE_TURNS || state->probe_bytes >= PROBE_BYTES ||
	    state->probe_calls > PROBE_CALLS)
		return false;
	state->probe_bytes += share_of(call);
	return true;
}

/* A call on a connection that is not followed (yet): is it captured? Counts it if not. */
static __always_inline bool is_probed(const struct call *call, const struct buffers *buffers,
				      struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;

	if (state->protocol == WIRE_PROTOCOL_UNKNOWN)
		recognise(call, buffers, scratch);
	else if (state->protocol == WIRE_PROTOCOL_UNDETERMINED &&
		 (turned || state->probe_calls++ < PROBE_CALLS_MAX))
		take_verdict(state);
	if (is_followed(state))
		return true;
	if (state->protocol == WIRE_PROTOCOL_UNDETERMINED && probe(call, turned))
		return true;
	if (state->protocol == WIRE_PROTOCOL_TLS) {
		if (!(state->flags & SOCKET_ANNOUNCED))
			announce(state, call->sk, call->task, call->count);
		call->count->dropped[DROP_ENCRYPTED]++;
		return false;
	}
	call->count->dropped[DROP_UNCLASSIFIED]++;
	return false;
}

#endif
