/* SPDX-License-Identifier: GPL-2.0 */
/* The buffers of the system call that a task is in, by its number and arguments. */
#ifndef BACKSTITCH_SYSCALL_BPF_H
#define BACKSTITCH_SYSCALL_BPF_H

#include "buffers.bpf.h"
#include "../generated/codes.h"

struct syscall {
	__s64 number;
	__u64 second;
	__u64 third;
};

static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & 2; /* TS_COMPAT */
#else
	return task->thread_info.flags & (1 << 22); /* TIF_32BIT */
#endif
}

static __always_inline void read_syscall(struct syscall *to, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	to->number = regs->orig_ax;
	to->second = regs->si;
	to->third = regs->dx;
#else
	to->number = regs->syscallno;
	to->second = regs->regs[1];
	to->third = regs->regs[2];
#endif
}

static __always_inline void buffers_of_syscall(struct buffers *to, const struct syscall *call)
{
	to->kind = BUFFERS_NONE;
	to->reason = NO_PAYLOAD_NO_BUFFER;
	to->base = call->second;
	to->count = 0;
	switch (call->number) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		to->kind = BUFFERS_ONE;
		break;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		to->kind = BUFFERS_VECTOR;
		to->count = call->third > 1024 ? 1024 : call->third;
		break;
	case NR_SENDMSG:
	case NR_RECVMSG:
		buffers_of_message(to, call->second);
		break;
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		/* Which of several messages this is cannot be told. */
		if (call->third == 1)
			buffers_of_message(to, call->second);
		break;
	case NR_IO_URING_ENTER:
		to->reason = NO_PAYLOAD_IO_URING;
		break;
	}
}

#endif
