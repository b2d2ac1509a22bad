// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What the other test programs leave out of the kernel's hooks: iterators over files, mappings and
 * TCP sockets as records; storage of tasks, sockets and cgroups written by programs; a kernel
 * function; further families of tracepoints. All look at one process only.
 */
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define BPF_F_NO_PREALLOC 1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1
#define BPF_MAP_TYPE_SK_STORAGE 24
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_MAP_TYPE_CGRP_STORAGE 32
#define VM_EXEC 4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inode {
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};

struct sock_common {
	__u16 skc_num;
	unsigned char skc_state;
};

struct sock {
	struct sock_common __sk_common;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	__u32 uid;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct___groups {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));
#pragma clang attribute pop

const volatile __u32 target_pid;
const volatile __u16 target_port;
const volatile __s64 target_syscall = -1;

volatile __u64 sched_hits;
volatile __u64 signal_hits;
volatile __u64 skb_hits;
volatile __u64 net_hits;
volatile __u64 tcp_hits;
volatile __u64 block_hits;
volatile __u64 exception_hits;
volatile __u64 cast_pid;

static __always_inline bool is_target(void)
{
	return bpf_get_current_pid_tgid() >> 32 == target_pid;
}

struct open_file {
	__u64 inode;
	__u32 fd;
	__u32 unused;
};
const struct open_file *open_file_record __attribute__((unused));

SEC("?iter/task_file")
int list_files(struct bpf_iter__task_file *ctx)
{
	/* Read once: the verifier knows only of this copy that it is not null. */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct open_file record = {};

	if (!task || !file || task->tgid != target_pid)
		return 0;
	record.inode = file->f_inode->i_ino;
	record.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

struct mapping {
	__u64 start;
	__u64 end;
};
const struct mapping *mapping_record __attribute__((unused));

SEC("?iter/task_vma")
int list_code(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *area = ctx->vma;
	struct mapping record = {};

	if (!task || !area || task->tgid != target_pid || !(area->vm_flags & VM_EXEC))
		return 0;
	record.start = area->vm_start;
	record.end = area->vm_end;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

struct endpoint {
	__u32 port;
	__u32 state;
};
const struct endpoint *endpoint_record __attribute__((unused));

SEC("?iter/tcp")
int list_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct endpoint record = {};

	if (!common || common->skc_num != target_port)
		return 0;
	record.port = common->skc_num;
	record.state = common->skc_state;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#define STORAGE(name, kind)                                   \
	struct {                                              \
		__uint(type, BPF_MAP_TYPE_##kind);            \
		__uint(map_flags, BPF_F_NO_PREALLOC);         \
		__type(key, int);                             \
		__type(value, __u64);                         \
	} name SEC(".maps")

STORAGE(of_task, TASK_STORAGE);
STORAGE(of_cgroup, CGRP_STORAGE);
STORAGE(of_socket, SK_STORAGE);

SEC("?tp_btf/sys_enter")
int BPF_PROG(count_in_storage, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct___groups *groups = (void *)task;
	__u64 *count;

	if (!is_target() || id != target_syscall)
		return 0;
	count = bpf_task_storage_get(&of_task, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (count)
		*count += 1;
	count = bpf_cgrp_storage_get(&of_cgroup, groups->cgroups->dfl_cgrp, 0,
				     BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (count)
		*count += 1;
	return 0;
}

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

SEC("?tp_btf/sys_enter")
int BPF_PROG(cast_task, struct pt_regs *regs, long id)
{
	struct task_struct *task;

	if (!is_target() || id != target_syscall || !bpf_rdonly_cast)
		return 0;
	/* The number of an untyped address becomes a pointer that may be read. */
	task = bpf_rdonly_cast((void *)bpf_get_current_task(),
			       bpf_core_type_id_kernel(struct task_struct));
	cast_pid = task->tgid;
	return 0;
}

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int from, int to)
{
	__u64 *count;

	if (sk->__sk_common.skc_num != target_port)
		return 0;
	count = bpf_sk_storage_get(&of_socket, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (count)
		*count += 1;
	return 0;
}

SEC("?tracepoint/sched/sched_process_exit")
int on_sched(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&sched_hits, 1);
	return 0;
}

SEC("?tracepoint/signal/signal_deliver")
int on_signal(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&signal_hits, 1);
	return 0;
}

SEC("?tracepoint/skb/skb_copy_datagram_iovec")
int on_skb(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&skb_hits, 1);
	return 0;
}

SEC("?raw_tp/net_dev_queue")
int on_net(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&net_hits, 1);
	return 0;
}

SEC("?tp_btf/tcp_probe")
int BPF_PROG(on_tcp, struct sock *sk)
{
	if (sk->__sk_common.skc_num == target_port)
		__sync_fetch_and_add(&tcp_hits, 1);
	return 0;
}

SEC("?tracepoint/block/block_bio_queue")
int on_block(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&block_hits, 1);
	return 0;
}

SEC("?tracepoint/exceptions/page_fault_user")
int on_exception(void *ctx)
{
	if (is_target())
		__sync_fetch_and_add(&exception_hits, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
