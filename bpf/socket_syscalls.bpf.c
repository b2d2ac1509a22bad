// SPDX-License-Identifier: GPL-2.0
/*
 * The same as socket_messages.bpf.c for kernels before 6.3, which have no tracepoint in the
 * sockets: looks at the end of every system call, and by the file descriptor at the socket.
 * Costs more, also for processes that are not selected; does not see io_uring.
 */
#define SOCKETS_BY_ADDRESS
#include "buffers.bpf.h"
#include "syscall.bpf.h"
#include "capture.bpf.h"
#include "datagrams.bpf.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
/* Datagrams followed of one call for several. */
#define DATAGRAMS_MAX 4

static __always_inline struct sock *socket_of(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* What a call did: where the descriptor is, which way, which flags. */
struct transfer {
	__u32 fd;
	__u32 flags;
	__u8 direction;
};

static __always_inline bool transfer_of(struct transfer *to, const struct syscall *call)
{
	to->fd = call->first;
	to->flags = 0;
	to->direction = DIRECTION_SEND;
	switch (call->number) {
	case NR_WRITE:
	case NR_WRITEV:
	case NR_PWRITEV2:
	case NR_SENDTO:
	case NR_SENDMSG:
	case NR_SENDMMSG:
	case NR_SENDFILE:
		return true;
	case NR_SPLICE:
		to->fd = call->third;
		return true;
	case NR_RECVFROM:
	case NR_RECVMMSG:
		to->flags = call->fourth;
		break;
	case NR_RECVMSG:
		to->flags = call->third;
		break;
	case NR_READ:
	case NR_READV:
	case NR_PREADV2:
		break;
	default:
		return false;
	}
	to->direction = DIRECTION_RECEIVE;
	return true;
}

/* These return the number of messages; the bytes stand with each. */
static __always_inline __u32 bytes_of_messages(__u64 messages, __u32 count)
{
	__u32 total = 0;

	for (int index = 0; index < VECTORS_MAX; index++) {
		__u32 length = 0;

		if (index >= count)
			break;
		bpf_probe_read_user(&length, sizeof(length),
				    (void *)(messages + index * MESSAGE_BYTES + MESSAGE_LENGTH));
		total += length;
	}
	return total;
}

/* One datagram, or as many as a call for several moved: the process's memory says all of them. */
static __always_inline void on_datagrams(struct sock *sk, struct task_struct *task,
					 const struct syscall *arguments,
					 const struct pt_regs *regs, __u32 result, __u8 direction)
{
	bool several = arguments->number == NR_SENDMMSG || arguments->number == NR_RECVMMSG;
	struct call call = { sk, task, datagram_state(sk), counters(), 0, result, direction };

	if (!call.state || !call.count)
		return;
	for (int index = 0; index < DATAGRAMS_MAX; index++) {
		__u64 message = several || arguments->number == NR_SENDMSG ||
						arguments->number == NR_RECVMSG ?
					arguments->second + index * MESSAGE_BYTES :
					0;
		struct buffers buffers = {};
		struct wire_peer peer = {};

		if (index >= (several ? result : 1))
			break;
		buffers_of_syscall(&buffers, arguments);
		if (message)
			buffers_of_message(&buffers, message);
		peer_of_call(&peer, arguments, regs, message);
		if (several && bpf_probe_read_user(&call.length, sizeof(call.length),
						   (void *)(message + MESSAGE_LENGTH)))
			break;
		if (call.length)
			observe_datagram(&call, &buffers, &peer);
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ended, struct pt_regs *regs, long result)
{
	struct task_struct *task;
	struct buffers buffers = {};
	struct transfer transfer;
	struct syscall call;
	__u32 length = result;
	struct sock *sk;

	if (result <= 0)
		return 0;
	read_syscall(&call, regs);
	if (!transfer_of(&transfer, &call))
		return 0;
	task = bpf_get_current_task_btf();
	/* Other numbers mean other calls there. */
	if (!is_selected(task) || is_compat(task))
		return 0;
	if (transfer.flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return 0;
	sk = socket_of(task, transfer.fd);
	if (!sk)
		return 0;
	if (!is_tcp(sk)) {
		if (captures_datagrams && is_udp(sk))
			on_datagrams(sk, task, &call, regs, result, transfer.direction);
		return 0;
	}
	if (call.number == NR_SENDMMSG || call.number == NR_RECVMMSG) {
		length = bytes_of_messages(call.second, result);
		call.third = result;
	}
	if (!length)
		return 0;
	buffers_of_syscall(&buffers, &call);
	if (transfer.flags & MSG_TRUNC)
		buffers.kind = BUFFERS_NONE;
	observe(sk, (const struct tcp_sock *)sk, task, &buffers, length, transfer.direction);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
