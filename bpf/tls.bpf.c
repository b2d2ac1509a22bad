// SPDX-License-Identifier: GPL-2.0
/*
 * The clear text of TLS sessions, where a library's functions take and give it. Attached to
 * selected processes only (uprobe.multi by pid, Linux 6.6 on), so the first test is the same as at
 * sockets: is the thread selected? Records go into the ring of the capturing object, by the rules
 * that hold for a socket's bytes.
 */
#include "buffers.bpf.h"
#include "capture.bpf.h"
#include "tls-calls.bpf.h"

/* The registers of the functions' arguments and results. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___calls {
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long bp;
	unsigned long bx;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long ax;
	unsigned long ip;
};
#define ARGUMENT1(regs) ((regs)->di)
#define ARGUMENT2(regs) ((regs)->si)
#define ARGUMENT3(regs) ((regs)->dx)
#define ARGUMENT4(regs) ((regs)->cx)
#define RESULT(regs) ((regs)->ax)
#define INSTRUCTION(regs) ((regs)->ip)
#else
struct pt_regs___calls {
	__u64 regs[31];
	__u64 pc;
};
#define ARGUMENT1(regs) ((regs)->regs[0])
#define ARGUMENT2(regs) ((regs)->regs[1])
#define ARGUMENT3(regs) ((regs)->regs[2])
#define ARGUMENT4(regs) ((regs)->regs[3])
#define RESULT(regs) ((regs)->regs[0])
#define INSTRUCTION(regs) ((regs)->pc)
#endif
#pragma clang attribute pop

static __always_inline struct tls_thread *thread_of_call(struct task_struct *task, bool make)
{
	if (!is_selected(task))
		return NULL;
	return bpf_task_storage_get(&tls_threads, task, 0,
				    make ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

/*
 * A function that is given a session is called; the cookie says which. True: how it ends need not
 * be looked at.
 */
static __always_inline bool call_begins(struct pt_regs *ctx, bool may_skip)
{
	const struct pt_regs___calls *regs = (const struct pt_regs___calls *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_thread *thread = thread_of_call(task, true);
	struct tls_key key = { .tgid = task->tgid };

	if (!thread)
		return false;
	thread->kind = bpf_get_attach_cookie(ctx);
	thread->object = ARGUMENT1(regs);
	thread->told = 0;
	key.object = thread->object;
	if (thread->kind & TLS_CALL_ENDS) {
		thread->object = 0;
		bpf_map_delete_elem(&tls_sessions, &key);
		return true;
	}
	if (thread->kind & TLS_CALL_BEGINS && !bpf_map_lookup_elem(&tls_sessions, &key))
		tls_session_made(&key);
	thread->buffer = ARGUMENT2(regs);
	thread->count_at = ARGUMENT4(regs);
	if (!(thread->kind & TLS_CALL_UNSURE) || bpf_map_lookup_elem(&tls_sessions, &key))
		tls_meet_fresh(thread, &key);
	if (thread->kind & TLS_CALL_WRITES)
		return tls_write_begins(&key, task, thread, (__u32)ARGUMENT3(regs), may_skip);
	return false;
}

static __always_inline void call_ends(struct pt_regs *ctx)
{
	const struct pt_regs___calls *regs = (const struct pt_regs___calls *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_thread *thread = thread_of_call(task, false);
	struct tls_key key = { .tgid = task->tgid };
	__s32 result = RESULT(regs);
	__u64 count = 0, kind;

	if (!thread || !thread->object)
		return;
	key.object = thread->object;
	thread->object = 0;
	kind = thread->kind;
	if (result <= 0 || (kind & TLS_CALL_UNSURE && !bpf_map_lookup_elem(&tls_sessions, &key)))
		return;
	if (kind & TLS_CALL_COUNTS) {
		if (bpf_probe_read_user(&count, sizeof(count), (void *)thread->count_at))
			return;
	} else {
		count = kind & TLS_CALL_LONG ? RESULT(regs) : result;
	}
	if (!count || count > TLS_CALL_MAX)
		return;
	if (kind & TLS_CALL_READS)
		tls_clear_text(&key, task, thread->buffer, count, DIRECTION_RECEIVE);
	else if (kind & TLS_CALL_WRITES)
		tls_write_ends(&key, task, thread, count);
	else if (kind & TLS_CALL_SENDS_FILE)
		tls_clear_text(&key, task, 0, count, DIRECTION_SEND);
}

#if defined(__TARGET_ARCH_x86)
/* The registers that functions keep, in the order of their numbers in instructions. */
#define KEPT_REGISTERS(regs)                                                                  \
	{ (regs)->bx, (regs)->bp, (regs)->r12, (regs)->r13, (regs)->r14, (regs)->r15 }
#define KEPT(place) kept[(registers >> (place)) & 7]

/*
 * Behind the call in OpenSSL's ssl3_read_internal. The cookie's upper half says which registers hold
 * the session, the buffer, the address of the count, and whether bytes are only peeked at.
 */
SEC("uprobe.multi")
int tls_read_ended(struct pt_regs *ctx)
{
	const struct pt_regs___calls *regs = (const struct pt_regs___calls *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 registers = bpf_get_attach_cookie(ctx) >> 32;
	__u64 kept[8] = KEPT_REGISTERS(regs);
	struct tls_key key = { .tgid = task->tgid };
	struct tls_thread *thread;
	__u64 count = 0;

	if ((__s32)RESULT(regs) <= 0 || (__u32)KEPT(9))
		return 0;
	thread = thread_of_call(task, true);
	if (!thread || bpf_probe_read_user(&count, sizeof(count), (void *)KEPT(6)))
		return 0;
	key.object = KEPT(0);
	if (!count || count > TLS_CALL_MAX)
		return 0;
	tls_meet_fresh(thread, &key);
	tls_clear_text(&key, task, KEPT(3), count, DIRECTION_RECEIVE);
	return 0;
}
#endif

/* Both ends of a call by one breakpoint and one program (Linux 6.13 on). */
SEC("uprobe.session")
int tls_call(struct pt_regs *ctx)
{
	/* At the end of a call the instruction is not that of its beginning. */
	if (INSTRUCTION((const struct pt_regs___calls *)ctx) == bpf_get_func_ip(ctx))
		return call_begins(ctx, true);
	call_ends(ctx);
	return 0;
}

/* The same before Linux 6.13. */
SEC("uprobe.multi")
int tls_called(struct pt_regs *ctx)
{
	call_begins(ctx, false);
	return 0;
}

SEC("uretprobe.multi")
int tls_returned(struct pt_regs *ctx)
{
	call_ends(ctx);
	return 0;
}

/* SSL_new: the session has no past. */
SEC("uretprobe.multi")
int tls_made(struct pt_regs *ctx)
{
	const struct pt_regs___calls *regs = (const struct pt_regs___calls *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_key key = { .tgid = task->tgid };

	key.object = RESULT(regs);
	if (is_selected(task) && key.object)
		tls_session_made(&key);
	return 0;
}

/* Go's own calling convention (ABIInternal, Go 1.17 on): the receiver, then the slice. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs___go {
	unsigned long bx;
	unsigned long ax;
} __attribute__((preserve_access_index));
#define GO_RECEIVER(regs) ((regs)->ax)
#define GO_SLICE(regs) ((regs)->bx)
#else
struct pt_regs___go {
	__u64 regs[31];
} __attribute__((preserve_access_index));
#define GO_RECEIVER(regs) ((regs)->regs[0])
#define GO_SLICE(regs) ((regs)->regs[1])
#endif

/* crypto/tls.(*Conn).Read and Write. */
SEC("uprobe.multi")
int tls_go_called(struct pt_regs *ctx)
{
	const struct pt_regs___go *regs = (const struct pt_regs___go *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_go_key key = { .tgid = task->tgid };
	struct tls_go_call call = {};

	if (!is_selected(task))
		return 0;
	key.g = goroutine_of(ctx);
	call.object = GO_RECEIVER(regs);
	call.buffer = GO_SLICE(regs);
	call.kind = bpf_get_attach_cookie(ctx);
	bpf_map_update_elem(&tls_go_calls, &key, &call, BPF_ANY);
	return 0;
}

/* Where they return: the count is in the register of the receiver. */
SEC("uprobe.multi")
int tls_go_returned(struct pt_regs *ctx)
{
	const struct pt_regs___go *regs = (const struct pt_regs___go *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_go_key key = { .tgid = task->tgid };
	struct tls_key session = { .tgid = task->tgid };
	struct tls_go_call *call;
	__s64 count = GO_RECEIVER(regs);
	__u64 buffer, kind;

	if (!is_selected(task))
		return 0;
	key.g = goroutine_of(ctx);
	call = bpf_map_lookup_elem(&tls_go_calls, &key);
	/* The handshake inside of a read or write is a part of it. */
	if (!call || call->kind != bpf_get_attach_cookie(ctx))
		return 0;
	session.object = call->object;
	buffer = call->buffer;
	kind = call->kind;
	bpf_map_delete_elem(&tls_go_calls, &key);
	if (kind & TLS_CALL_BEGINS || count <= 0 || count > TLS_CALL_MAX)
		return 0;
	tls_clear_text(&session, task, buffer, count,
		       kind & TLS_CALL_READS ? DIRECTION_RECEIVE : DIRECTION_SEND);
	return 0;
}

/* crypto/tls.(*Conn).clientHandshake and serverHandshake: the session has no past. */
SEC("uprobe.multi")
int tls_go_made(struct pt_regs *ctx)
{
	const struct pt_regs___go *regs = (const struct pt_regs___go *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	struct tls_go_key goroutine = { .tgid = task->tgid };
	struct tls_key key = { .tgid = task->tgid };
	struct tls_go_call call = {};

	key.object = GO_RECEIVER(regs);
	if (!is_selected(task) || !key.object)
		return 0;
	tls_session_made(&key);
	call.object = key.object;
	call.kind = bpf_get_attach_cookie(ctx);
	goroutine.g = goroutine_of(ctx);
	/* What it receives may hold the first clear text, so it is a call that tells the socket. */
	if (call.kind)
		bpf_map_update_elem(&tls_go_calls, &goroutine, &call, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
