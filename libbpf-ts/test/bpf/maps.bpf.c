// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Maps of every type, of structs with all that C can put into one; nothing is attached by default. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED = 1, GREEN = 2, BLUE = -3 };

struct point {
	__s16 x;
	__s16 y;
};

struct key {
	__u32 pid;
	char comm[8];
};

struct value {
	__u64 total;
	__s32 delta;
	enum color color;
	bool seen;
	__u8 raw[3];
	__u16 parts[2];
	struct point corners[2];
	union {
		__u32 as_word;
		__u8 as_bytes[4];
	};
	__u32 low : 3, high : 5;
	__s32 negative : 4;
	double ratio;
	void *address;
};

struct address {
	__u32 prefixlen;
	__u8 bytes[4];
};

struct record {
	__u64 time_ns;
	__u32 pid;
	char comm[16];
};

const volatile struct point origin = { 3, -4 };
const volatile char greeting[8] = "hello";
struct value last;
/* Puts `struct record` into the types, for the readers of the ring. */
const struct record *records_record __attribute__((unused));

#define MAP(name, kind, entries, key_type, value_type)        \
	struct {                                              \
		__uint(type, BPF_MAP_TYPE_##kind);            \
		__uint(max_entries, entries);                 \
		__type(key, key_type);                        \
		__type(value, value_type);                    \
	} name SEC(".maps")

MAP(hash, HASH, 1024, struct key, struct value);
MAP(lru, LRU_HASH, 16, __u32, __u64);
MAP(array, ARRAY, 4, __u32, struct point);
MAP(percpu, PERCPU_HASH, 16, __u32, struct point);
MAP(percpu_array, PERCPU_ARRAY, 2, __u32, __u32);
MAP(lru_percpu, LRU_PERCPU_HASH, 16, __u32, __u64);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 3);
	__type(value, struct point);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 3);
	__type(value, __u32);
} stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, __u32);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, struct address);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 8 * 32);
} stacks SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

/* Linux 6.2; headers of Debian 12 do not name it. */
#define BPF_MAP_TYPE_CGRP_STORAGE_ 32

#define STORAGE(name, kind)                                   \
	struct {                                              \
		__uint(type, BPF_MAP_TYPE_##kind);            \
		__uint(map_flags, BPF_F_NO_PREALLOC);         \
		__type(key, int);                             \
		__type(value, struct point);                  \
	} name SEC(".maps")

STORAGE(of_task, TASK_STORAGE);
STORAGE(of_socket, SK_STORAGE);
STORAGE(of_cgroup, CGRP_STORAGE_);
STORAGE(of_inode, INODE_STORAGE);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");

const volatile __u32 target_pid;
const volatile __s64 target_syscall = -1;
const volatile __u32 sample_bytes = 24;
__u64 perf_refused;
__s64 stack_id;

SEC("?raw_tp/sys_enter")
int emit(struct bpf_raw_tracepoint_args *ctx)
{
	struct record *record;
	__u8 sample[64] = {};
	__u32 length = sample_bytes;

	if (bpf_get_current_pid_tgid() >> 32 != target_pid || (__s64)ctx->args[1] != target_syscall)
		return 0;
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (record) {
		record->time_ns = bpf_ktime_get_boot_ns();
		record->pid = target_pid;
		bpf_get_current_comm(record->comm, sizeof(record->comm));
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	}
	*(__u32 *)sample = target_pid;
	*(__u32 *)(sample + 4) = length;
	if (length > sizeof(sample))
		length = sizeof(sample);
	if (bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, sample, length))
		perf_refused++;
	stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
