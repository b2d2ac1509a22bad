/* SPDX-License-Identifier: GPL-2.0 */
/* Which protocol a connection speaks, by the first bytes of its messages. */
#ifndef BACKSTITCH_RECOGNISE_BPF_H
#define BACKSTITCH_RECOGNISE_BPF_H

#include "classify.bpf.h"
#include "state.bpf.h"
#include "records.bpf.h"

/* Calls on a connection that are looked at for a known protocol beyond changes of direction. */
#define TRIES_MAX 16

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

#endif
