// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* What the benches read: a ring filled on demand, a map, and twenty programs to load. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define RECORD_WORDS 32

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

__u64 refused;
__u64 calls;

static long emit(__u64 index, void *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&records, RECORD_WORDS * 8, 0);

	if (!record) {
		refused++;
		return 1;
	}
	record[0] = index;
	record[1] = index * 3;
	record[RECORD_WORDS - 1] = ~index;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Puts as many records into the ring as its context says. */
SEC("syscall")
int fill(__u64 *count)
{
	bpf_loop(*count, emit, 0, 0);
	return 0;
}

#define PROGRAM(number)                                        \
	SEC("raw_tp/sys_enter")                                \
	int program_##number(struct bpf_raw_tracepoint_args *ctx) \
	{                                                      \
		__u32 key = number;                            \
		__u64 *value = bpf_map_lookup_elem(&numbers, &key); \
		if (value)                                     \
			__sync_fetch_and_add(value, 1);        \
		__sync_fetch_and_add(&calls, 1);               \
		return 0;                                      \
	}
#define TEN(digit) PROGRAM(digit##0) PROGRAM(digit##1) PROGRAM(digit##2) PROGRAM(digit##3) \
	PROGRAM(digit##4) PROGRAM(digit##5) PROGRAM(digit##6) PROGRAM(digit##7) PROGRAM(digit##8) \
	PROGRAM(digit##9)
TEN(1)
TEN(2)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
