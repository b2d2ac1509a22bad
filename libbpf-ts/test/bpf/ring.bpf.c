// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Answers one system call of one process with records, counters and map entries. */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define RECORD_WORDS_MAX 64
#define RECORDS_MAX 64

const volatile __u32 target_pid;
const volatile __s64 target_syscall = -1;
const volatile __u32 records_per_call = 1;
/* Every n-th record is discarded; 0 for none. */
const volatile __u32 discard_every;
const volatile bool vary_length;
/* From so many bytes in the ring on the reader is woken up; 0 for never. */
const volatile __u32 wake_bytes;
const volatile __u8 label[8];
const volatile __s16 negative = -7;
const volatile float ratio = 0.5f;

__u64 calls;
__u64 refused;
__u32 sequence;
__u64 seed = 42;

/* Filled by on_call, emptied by the test. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} mapped SEC(".maps");

static __always_inline __u64 wake_flag(void)
{
	if (wake_bytes && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void emit(void)
{
	__u32 number = sequence++;
	__u32 words = vary_length ? 1 + number % RECORD_WORDS_MAX : RECORD_WORDS_MAX;
	__u32 *record;

	record = bpf_ringbuf_reserve(&events, RECORD_WORDS_MAX * 4, 0);
	if (!record) {
		refused++;
		return;
	}
	record[0] = number;
	record[1] = words;
	record[RECORD_WORDS_MAX - 1] = ~number;
	if (discard_every && number % discard_every == 0)
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_submit(record, wake_flag());
}

static __always_inline void emit_short(void)
{
	__u32 number = sequence++;
	__u8 bytes[13] = {};

	*(__u32 *)bytes = number;
	if (bpf_ringbuf_output(&events, bytes, sizeof(bytes), BPF_RB_NO_WAKEUP))
		refused++;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long id)
{
	__u32 zero = 0, one = 1, *slot;
	__u64 number;

	if (bpf_get_current_pid_tgid() >> 32 != target_pid || id != target_syscall)
		return 0;
	calls++;
	for (__u32 i = 0; i < RECORDS_MAX && i < records_per_call; i++) {
		if (vary_length && i % 2)
			emit_short();
		else
			emit();
	}
	slot = bpf_map_lookup_elem(&per_cpu, &one);
	if (slot)
		*slot += 1;
	slot = bpf_map_lookup_elem(&mapped, &one);
	if (slot)
		*slot += 1;
	number = calls;
	bpf_map_update_elem(&numbers, &zero, &number, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
