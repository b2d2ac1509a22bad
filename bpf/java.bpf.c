// SPDX-License-Identifier: GPL-2.0
/*
 * What our agent in a JVM says: it calls a native method of the JDK that does nothing, on which
 * this is attached (uprobe.multi by pid, Linux 6.6 on). Its calls are rare: once a thread, and once
 * for each piece of clear text of TLS.
 */
#include "buffers.bpf.h"
#include "capture.bpf.h"
#include "tls-calls.bpf.h"

/* In the argument, above what it is about. As in java-agent's Channel.java. */
#define JAVA_CALL_SHIFT 24
#define JAVA_REGISTER 1
#define JAVA_CLEAR_TEXT 2

/* As java-agent's TlsHooks.java writes it; `length` bytes of clear text follow. */
struct java_message {
	__u64 session;
	__u32 length;
	__u32 flags; /* TLS_CALL_READS, WRITES, BEGINS; JAVA_MESSAGE_ */
	struct java_record record;
};

#define JAVA_MESSAGE_NO_PAYLOAD 0x100
#define JAVA_MESSAGE_RECORD 0x200

/* The argument of a static native method: behind the JNI environment and the class. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___java {
	unsigned long dx;
};
#define JAVA_ARGUMENT(regs) ((regs)->dx)
#else
struct pt_regs___java {
	__u64 regs[31];
};
#define JAVA_ARGUMENT(regs) ((regs)->regs[2])
#endif
#pragma clang attribute pop

static __always_inline void java_register(struct task_struct *task, __u32 slot)
{
	struct java_thread *thread = bpf_task_storage_get(&java_threads, task, 0,
							  BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (thread)
		thread->slot = slot;
}

static __always_inline void java_clear_text(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct wire_runtime *runtime = bpf_map_lookup_elem(&runtime_processes, &tgid);
	struct tls_key key = { .tgid = tgid };
	struct java_message message = {};
	struct java_slot slot = {};
	struct tls_session *session;
	__u64 base;

	if (!runtime || runtime->kind != RUNTIME_JAVA || !java_slot_of(&slot, runtime, task) ||
	    bpf_probe_read_user(&message, sizeof(message), (void *)slot.message))
		return;
	key.object = message.session;
	if (message.flags & TLS_CALL_BEGINS)
		tls_session_made(&key);
	if (message.flags & JAVA_MESSAGE_RECORD) {
		session = tls_session_of(&key);
		if (session && !session->state.cookie)
			bpf_map_update_elem(&java_records, &message.record, &key, BPF_ANY);
	}
	if (!message.length || message.length > TLS_CALL_MAX)
		return;
	base = message.flags & JAVA_MESSAGE_NO_PAYLOAD ? 0 : slot.message + sizeof(message);
	if (message.flags & TLS_CALL_READS)
		tls_clear_text(&key, task, base, message.length, DIRECTION_RECEIVE);
	else if (message.flags & TLS_CALL_WRITES)
		tls_clear_text(&key, task, base, message.length, DIRECTION_SEND);
}

SEC("uprobe.multi")
int java_told(struct pt_regs *ctx)
{
	const struct pt_regs___java *regs = (const struct pt_regs___java *)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 what = JAVA_ARGUMENT(regs);

	if (!is_selected(task))
		return 0;
	if (what >> JAVA_CALL_SHIFT == JAVA_REGISTER)
		java_register(task, what & ((1 << JAVA_CALL_SHIFT) - 1));
	else if (what >> JAVA_CALL_SHIFT == JAVA_CLEAR_TEXT)
		java_clear_text(task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
