// SPDX-License-Identifier: GPL-2.0
/*
 * Every send and receive on TCP sockets of selected threads, by whatever system call, on two
 * tracepoints (Linux 6.3 on). Includes, in this order, what a reader needs: buffers, the
 * system call that gives them, what becomes of a call.
 */
#include "buffers.bpf.h"
#include "syscall.bpf.h"
#include "capture.bpf.h"

extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym;

#include "uring.bpf.h"

static __always_inline void on_call(struct sock *sk, __u32 length, __u8 direction, bool readable)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct buffers buffers = {};
	struct syscall call;
	const struct tcp_sock *tp;

	if (!is_selected(task) || !is_tcp(sk))
		return;
	if (is_compat(task)) {
		buffers.reason = NO_PAYLOAD_COMPAT;
	} else if (readable) {
		read_syscall(&call, (struct pt_regs *)bpf_task_pt_regs(task));
		buffers_of_syscall(&buffers, &call);
		if (call.number == NR_IO_URING_ENTER || task->flags & PF_IO_WORKER) {
			buffers.kind = BUFFERS_NONE;
			buffers.reason = NO_PAYLOAD_IO_URING;
			/* Kernels without io_uring do not have its types. */
			if (bpf_core_type_exists(struct io_kiocb) &&
			    bpf_core_type_exists(struct io_worker))
				buffers_of_uring(&buffers, sk, task, direction);
		}
	}
	tp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	observe(sk, tp, task, &buffers, length, direction);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int result, int flags)
{
	if (result > 0)
		on_call(sk, result, DIRECTION_SEND, true);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int result, int flags)
{
	if (result > 0 && !(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
		on_call(sk, result, DIRECTION_RECEIVE, !(flags & MSG_TRUNC));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
