// SPDX-License-Identifier: GPL-2.0
/*
 * Which processes are observed, and word of those that may have to be.
 *
 * Userspace decides (extensions/discovery): it fills `wanted` and runs the iterator
 * seed_tasks, which marks or clears every thread of those processes. From then on the
 * selection passes from parent to child at fork, here, so that a descendant is watched
 * from its first instruction. Execs, ends and new listening ports go to userspace through
 * a ring: process ids, times and ports, never a byte of a process's data.
 */
#include "kernel-task.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "wire.h"
#include "selection.bpf.h"

/* The agent's own process. The iterator also knows it as its reader. */
const volatile __u32 self_tgid = 0;
/* 1: an exec in a selected process is not observed until userspace has confirmed it. */
const volatile __u32 confirm_execs = 0;
/* 1: report execs (and cgroup moves) of processes that are not selected. */
const volatile __u32 report_execs = 0;
/* 1: report new processes whose parent is not selected. */
const volatile __u32 report_forks = 0;

/* Set by userspace during a rescan: seed_tasks also lists what is marked already. */
__u32 list_marked = 0;

/*
 * Process id to target number, 0 to deselect. Userspace inserts before it runs seed_tasks
 * and deletes afterwards; when full it works in portions.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} wanted SEC(".maps");

/*
 * Drained by userspace on a timer. When full, records are counted in process_events_lost
 * and userspace looks at all processes again. Sized for 1,000 processes' fork, exec and
 * end between two drains, and many times that.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} process_events SEC(".maps");

enum { LOST_RECORD, LOST_INHERITANCE, LOST_COUNT };

/* What could not be done: [0] records that did not fit, [1] children not marked at fork. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LOST_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} process_events_lost SEC(".maps");

static __always_inline void count_lost(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&process_events_lost, &what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline struct selection *selection_of(struct task_struct *task)
{
	return bpf_task_storage_get(&selected_tasks, task, 0, 0);
}

static __always_inline void fill_header(struct wire_header *header, __u16 kind, __u16 size)
{
	header->kind = kind;
	header->size = size;
	header->cpu = bpf_get_smp_processor_id();
	header->time_ns = bpf_ktime_get_ns();
}

static __always_inline void fill_process(struct wire_process *record, __u16 kind,
					 struct task_struct *task, __u32 selected)
{
	fill_header(&record->header, kind, sizeof(*record));
	record->tgid = task->tgid;
	record->start_time_ns = task->group_leader->start_boottime;
	record->selected = selected;
	bpf_probe_read_kernel_str(record->name, sizeof(record->name), task->comm);
}

static __always_inline void report_process(__u16 kind, struct task_struct *task, __u32 parent,
					   const struct selection *selection)
{
	struct wire_process *record;

	record = bpf_ringbuf_reserve(&process_events, sizeof(*record), 0);
	if (!record) {
		count_lost(LOST_RECORD);
		return;
	}
	fill_process(record, kind, task, selection ? selection->target : 0);
	record->parent = parent;
	record->pending = selection ? selection->pending : 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/*
 * Before the child first runs, in the task that called fork or clone. Not sched_process_fork:
 * io_uring's worker threads, which send and receive for their process, do not pass there.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(process_fork, struct task_struct *child)
{
	struct task_struct *parent = bpf_get_current_task_btf();
	struct selection *inherited = selection_of(parent);
	bool is_process = child->pid == child->tgid;
	struct selection copy;

	if (!inherited) {
		if (report_forks && is_process)
			report_process(WIRE_PROCESS_FORK, child, parent->tgid, 0);
		return 0;
	}
	copy = *inherited;
	if (!bpf_task_storage_get(&selected_tasks, child, &copy, BPF_LOCAL_STORAGE_GET_F_CREATE))
		count_lost(LOST_INHERITANCE);
	if (is_process)
		report_process(WIRE_PROCESS_FORK, child, parent->tgid, &copy);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *binprm)
{
	struct selection *selection = selection_of(task);

	if (selection && confirm_execs)
		selection->pending = 1;
	if (selection || report_execs)
		report_process(WIRE_PROCESS_EXEC, task, 0, selection);
	return 0;
}

/* A process that moves to another cgroup is looked at again, as after an exec. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(process_moved, void *destination, const char *path, struct task_struct *leader)
{
	report_process(WIRE_PROCESS_EXEC, leader, 0, selection_of(leader));
	return 0;
}

/* Of a process: when its last thread ends. Its storage goes with the task. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct selection *selection = selection_of(task);

	if (!selection || task->signal->live.counter != 0)
		return 0;
	report_process(WIRE_PROCESS_EXIT, task, 0, selection);
	return 0;
}

static __always_inline bool is_tcp(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP;
}

static __always_inline void fill_listen(struct wire_listen *record, const struct sock *sk,
					__u32 tgid)
{
	fill_header(&record->header, WIRE_LISTEN, sizeof(*record));
	record->tgid = tgid;
	record->port = sk->__sk_common.skc_num;
	record->family = sk->__sk_common.skc_family == AF_INET6 ? 6 : 4;
}

/* In the context of the listen() call. Other changes of state leave after one comparison. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_listens, const struct sock *sk, const int old_state, const int new_state)
{
	struct wire_listen *record;

	if (new_state != TCP_LISTEN || !is_tcp(sk))
		return 0;
	record = bpf_ringbuf_reserve(&process_events, sizeof(*record), 0);
	if (!record) {
		count_lost(LOST_RECORD);
		return 0;
	}
	fill_listen(record, sk, bpf_get_current_pid_tgid() >> 32);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void write_process(struct seq_file *seq, __u16 kind,
					  struct task_struct *task, __u32 selected)
{
	struct wire_process record = {};

	fill_process(&record, kind, task, selected);
	record.parent = task->real_parent->tgid;
	bpf_seq_write(seq, &record, sizeof(record));
}

/* Writes a record for the thread when that changed something. */
static __always_inline void apply_wanted(struct seq_file *seq, struct task_struct *task,
					 struct selection *selection, __u32 target)
{
	struct selection value = { .target = target };

	if (!target) {
		if (!selection)
			return;
		bpf_task_storage_delete(&selected_tasks, task);
	} else if (selection) {
		if (selection->target == target && !selection->pending)
			return;
		*selection = value;
	} else if (!bpf_task_storage_get(&selected_tasks, task, &value,
					 BPF_LOCAL_STORAGE_GET_F_CREATE)) {
		/* Userspace repeats until a pass changes nothing. */
		return;
	}
	write_process(seq, WIRE_PROCESS_SEEDED, task, target);
}

/*
 * Marks and clears the threads of the processes in `wanted`, and writes a record for each.
 * Also writes a WIRE_PROCESS_FORK for a process that userspace may not know: one that is not
 * marked while its parent is (a child from before, or from while this ran), and on a rescan
 * any that is marked and not in `wanted` (the record of its fork was lost).
 */
SEC("iter/task")
int seed_tasks(struct bpf_iter__task *context)
{
	struct seq_file *seq = context->meta->seq;
	struct task_struct *task = context->task;
	struct selection *selection;
	__u32 tgid, *target;

	if (!task || task->flags & (PF_KTHREAD | PF_EXITING))
		return 0;
	tgid = task->tgid;
	if (tgid == self_tgid || tgid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	selection = selection_of(task);
	target = bpf_map_lookup_elem(&wanted, &tgid);
	if (target) {
		apply_wanted(seq, task, selection, *target);
		return 0;
	}
	if (task->pid != task->tgid || (selection && !list_marked))
		return 0;
	if (!selection)
		selection = selection_of(task->real_parent);
	if (selection)
		write_process(seq, WIRE_PROCESS_FORK, task, selection->target);
	return 0;
}

/* Every listening TCP socket that a process holds, in all network namespaces. */
SEC("iter/task_file")
int list_listeners(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct wire_listen record = {};
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->__sk_common.skc_state != TCP_LISTEN || !is_tcp(sk))
		return 0;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return 0;
	fill_listen(&record, sk, task->tgid);
	bpf_seq_write(context->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
