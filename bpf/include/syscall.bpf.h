/* SPDX-License-Identifier: GPL-2.0 */
/* The buffers of the system call that a task is in, by its number and arguments. */
#ifndef BACKSTITCH_SYSCALL_BPF_H
#define BACKSTITCH_SYSCALL_BPF_H

#include "buffers.bpf.h"
#include "../generated/codes.h"

struct syscall {
	__s64 number;
	__u64 first;
	__u64 second;
	__u64 third;
	__u64 fourth;
};

static __always_inline bool is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & 2; /* TS_COMPAT */
#else
	return task->thread_info.flags & (1 << 22); /* TIF_32BIT */
#endif
}

/* Also after the call: all but the result's register keep the arguments. */
static __always_inline void read_syscall(struct syscall *to, const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	to->number = regs->orig_ax;
	to->first = regs->di;
	to->second = regs->si;
	to->third = regs->dx;
	to->fourth = regs->r10;
#else
	to->number = regs->syscallno;
	to->first = regs->orig_x0;
	to->second = regs->regs[1];
	to->third = regs->regs[2];
	to->fourth = regs->regs[3];
#endif
}

static __always_inline __u64 fifth_argument(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->r8;
#else
	return regs->regs[4];
#endif
}

/* Does a thread that sleeps in this call wait for events or for a time to pass? */
static __always_inline bool waits_for_events(__s64 number)
{
	switch (number) {
#if defined(__TARGET_ARCH_x86)
	case NR_POLL:
	case NR_SELECT:
	case NR_EPOLL_WAIT:
#endif
	case NR_PPOLL:
	case NR_PSELECT6:
	case NR_EPOLL_PWAIT:
	case NR_EPOLL_PWAIT2:
	case NR_IO_URING_ENTER:
	case NR_NANOSLEEP:
	case NR_CLOCK_NANOSLEEP:
		return true;
	}
	return false;
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
