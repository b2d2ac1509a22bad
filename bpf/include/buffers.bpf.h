/* SPDX-License-Identifier: GPL-2.0 */
/* Where the bytes of a call are in the process's memory, and copying a bounded part. */
#ifndef BACKSTITCH_BUFFERS_BPF_H
#define BACKSTITCH_BUFFERS_BPF_H

#include "kernel.h"
#include "wire.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Copied of one call at most; twice as much must fit into a per-CPU value of 32 KiB. */
#define CAPTURE_CALL_MAX 8192
/* Vectors looked at together, and how often in one call. */
#define VECTORS_MAX 8
#define BATCHES_MAX 64

#define BUFFERS_NONE 0
#define BUFFERS_ONE 1
#define BUFFERS_VECTOR 2

struct buffers {
	__u64 base;  /* of the buffer, or of the array of vectors */
	__u32 count; /* of vectors */
	__u8 kind;
	__u8 reason; /* NO_PAYLOAD_ if kind is BUFFERS_NONE */
};

struct scratch {
	struct wire_data data;
	/* The second half only convinces the verifier: offset and length are bounded each. */
	__u8 payload[2 * CAPTURE_CALL_MAX];
};

/* How far from the end of a head its length is looked for. */
#define LENGTH_SEARCH 96
/* In gather's result: the head is complete and says how long the body is. */
#define GATHERED_HEAD 0x40000000

#define LITTLE4(a, b, c, d) \
	((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define LITTLE8(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

struct head_end {
	__u8 bytes[LENGTH_SEARCH];
};

/*
 * Does the end of a head name the length of its body? Not static: the verifier looks at such a
 * function once, not at each call.
 */
__noinline int has_length(const struct head_end *end)
{
	if (!end || *(__u32 *)(end->bytes + LENGTH_SEARCH - 4) != 0x0a0d0a0d)
		return 0;
#pragma unroll
	for (int at = LENGTH_SEARCH - 8; at >= 4; at--) {
		__u64 word;

		if (*(__u32 *)(end->bytes + at) != LITTLE4('g', 't', 'h', ':'))
			continue;
		word = *(__u64 *)(end->bytes + at - 4);
		if (word == LITTLE8('-', 'L', 'e', 'n', 'g', 't', 'h', ':') ||
		    word == LITTLE8('-', 'l', 'e', 'n', 'g', 't', 'h', ':'))
			return 1;
	}
	return 0;
}

/*
 * Do the first `length` bytes end a head that has a Content-Length? Then the buffers behind
 * it hold nothing but the body, which nobody needs: reading a buffer costs more than this.
 */
static __always_inline bool is_whole_head(const __u8 *payload, __u32 length, __u32 payload_size)
{
	__u32 start = length - LENGTH_SEARCH;

	barrier_var(start);
	if (start > payload_size - LENGTH_SEARCH)
		return false;
	return has_length((const struct head_end *)(payload + start));
}

/*
 * Adds the bytes of up to VECTORS_MAX vectors at `offset` of the scratch. Returns the offset after
 * them, or -1. Not static: the verifier looks at such a function once, not at each call.
 */
__noinline int gather_vectors(struct scratch *to, __u64 base, __u32 count, __u32 want,
			      __u32 offset)
{
	struct user_iovec vectors[VECTORS_MAX] = {};
	__u64 filled = offset;
	bool first = !offset;

	if (!to)
		return -1;
	if (count > VECTORS_MAX)
		count = VECTORS_MAX;
	if (bpf_probe_read_user(vectors, count * sizeof(vectors[0]), (void *)base))
		return -1;
	for (int index = 0; index < VECTORS_MAX; index++) {
		__u64 length = vectors[index].length;

		if (index >= count || filled >= want || filled >= CAPTURE_CALL_MAX)
			break;
		if (length > want - filled)
			length = want - filled;
		if (length > CAPTURE_CALL_MAX)
			length = CAPTURE_CALL_MAX;
		if (bpf_probe_read_user(to->payload + filled, length,
					(void *)vectors[index].base))
			return -1;
		filled += length;
		if (first && index == 0 && filled < want &&
		    is_whole_head(to->payload, filled, CAPTURE_CALL_MAX))
			return filled | GATHERED_HEAD;
	}
	return filled;
}

/* Programs that write many small messages at once do it with many vectors. */
__noinline int gather_all_vectors(struct scratch *to, __u64 base, __u32 count, __u32 want)
{
	int filled = 0;

	for (int batch = 0; batch < BATCHES_MAX; batch++) {
		filled = gather_vectors(to, base, count, want, filled);
		if (filled < 0 || filled & GATHERED_HEAD || count <= VECTORS_MAX ||
		    filled >= want || filled >= CAPTURE_CALL_MAX)
			break;
		base += VECTORS_MAX * sizeof(struct user_iovec);
		count -= VECTORS_MAX;
	}
	return filled;
}

/*
 * Copies the first `want` bytes or fewer into the scratch; -1 when they cannot be read.
 * Several buffers: perhaps only the first, with GATHERED_HEAD in the result.
 */
static __always_inline int gather(struct scratch *to, const struct buffers *from, __u32 want)
{
	if (want > CAPTURE_CALL_MAX)
		want = CAPTURE_CALL_MAX;
	if (from->kind == BUFFERS_VECTOR)
		return gather_all_vectors(to, from->base, from->count, want);
	if (from->kind != BUFFERS_ONE)
		return -1;
	if (bpf_probe_read_user(to->payload, want, (void *)from->base))
		return -1;
	return want;
}

/* The last eight bytes before `end`, in memory order; 0 when they are not known. */
__noinline __u64 tail_of_vectors(__u64 base, __u32 count, __u64 end)
{
	struct user_iovec vectors[VECTORS_MAX] = {};
	__u64 tail = 0;

	if (count > VECTORS_MAX)
		return 0;
	if (bpf_probe_read_user(vectors, count * sizeof(vectors[0]), (void *)base))
		return 0;
	for (int index = 0; index < VECTORS_MAX; index++) {
		__u64 length = vectors[index].length;
		__u64 part = 0;

		if (index >= count || !end)
			break;
		if (length > end)
			length = end;
		end -= length;
		if (!length)
			continue;
		if (length >= 8) {
			if (bpf_probe_read_user(&tail, 8,
						(void *)(vectors[index].base + length - 8)))
				return 0;
			continue;
		}
		if (bpf_probe_read_user(&part, length & 7, (void *)vectors[index].base))
			return 0;
		tail = tail >> 8 * length | part << (64 - 8 * length);
	}
	return end ? 0 : tail;
}

static __always_inline __u64 gather_tail(const struct buffers *from, __u32 length)
{
	__u64 tail = 0;

	if (from->kind == BUFFERS_VECTOR)
		return tail_of_vectors(from->base, from->count, length);
	if (from->kind != BUFFERS_ONE || length < 8)
		return 0;
	if (bpf_probe_read_user(&tail, 8, (void *)(from->base + length - 8)))
		return 0;
	return tail;
}

/* struct msghdr of the process: where its vectors are. */
static __always_inline void buffers_of_message(struct buffers *to, __u64 message)
{
	struct user_message header;

	if (bpf_probe_read_user(&header, sizeof(header), (void *)message))
		return;
	to->base = header.vectors;
	to->count = header.vector_count > 1024 ? 1024 : header.vector_count;
	to->kind = BUFFERS_VECTOR;
}

#endif
