/* SPDX-License-Identifier: GPL-2.0 */
/* Connections that are left out: under overload, or after the ring was full. */
#ifndef BACKSTITCH_SHEDDING_BPF_H
#define BACKSTITCH_SHEDDING_BPF_H

#include "classify.bpf.h"
#include "recognise.bpf.h"

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

/* May capture begin again with this call? Without what went before, a parser needs a request. */
static __always_inline bool may_resume(const struct call *call, const struct buffers *buffers,
				       struct scratch *scratch, bool turned)
{
	/* What userspace found it also finds again, in whatever comes. */
	if (call->state->protocol > WIRE_PROTOCOL_POSTGRESQL)
		return true;
	return turned && gather(scratch, buffers, 8) == 8 &&
	       classify_request(*(__u64 *)scratch->payload);
}

/* Is the call left out because its connection is shed? */
static __always_inline bool is_shed(const struct call *call, const struct buffers *buffers,
				    struct scratch *scratch, bool turned)
{
	struct socket_state *state = call->state;
	bool now = state->rank < call->count->shed_per_mille;

	if (!now && !(state->flags & SOCKET_SHED))
		return false;
	if (!now && state->shed_until_ns < bpf_ktime_get_ns() &&
	    may_resume(call, buffers, scratch, turned)) {
		state->flags &= ~(SOCKET_SHED | SOCKET_TOLD);
		if (state->protocol == WIRE_PROTOCOL_UNDETERMINED)
			begin_probing(state);
		return false;
	}
	state->flags |= SOCKET_SHED;
	tell_shed(call);
	return true;
}

#endif
