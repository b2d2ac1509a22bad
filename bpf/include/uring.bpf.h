/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The buffers of a send or receive that io_uring makes. The tracepoint in the socket does not
 * say for which request it runs. A request is tried in the thread that submits it; when the
 * socket is not ready, it is tried again later, perhaps by another thread; or a worker does
 * it. So: the request that a worker works on, the one that a thread submitted last, and by
 * socket the one that waits (io_uring_poll_arm). All are checked against the socket.
 */
#ifndef BACKSTITCH_URING_BPF_H
#define BACKSTITCH_URING_BPF_H

#include "capture.bpf.h"
#include "syscall.bpf.h"

/* linux/io_uring.h */
#define IORING_OP_READV 1
#define IORING_OP_WRITEV 2
#define IORING_OP_SENDMSG 9
#define IORING_OP_RECVMSG 10
#define IORING_OP_READ 22
#define IORING_OP_WRITE 23
#define IORING_OP_SEND 26
#define IORING_OP_RECV 27
#define IORING_OP_SEND_ZC 47
#define IORING_OP_SENDMSG_ZC 48
/* io_uring_types.h: the kernel chooses the buffer. */
#define REQ_F_BUFFER_SELECT (1 << 5)
/* linux/sched.h */
#define PF_IO_WORKER 0x10

/* A socket's sends or its receives. */
struct uring_key {
	__u64 socket; /* address */
	__u64 direction;
};

/* Inserted when a request waits; the longest unused go. Values may be stale. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct uring_key);
	__type(value, __u64);
} uring_requests SEC(".maps");

static __always_inline struct io_kiocb *request_at(__u64 address)
{
	return bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct io_kiocb));
}

static __always_inline __u64 direction_of(__u8 opcode)
{
	switch (opcode) {
	case IORING_OP_WRITEV:
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
		return DIRECTION_SEND;
	case IORING_OP_READV:
	case IORING_OP_READ:
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return DIRECTION_RECEIVE;
	default:
		return DIRECTION_NONE;
	}
}

/* The address of the TCP socket that a request is for; 0 for other files. */
static __always_inline __u64 socket_of_request(struct io_kiocb *request)
{
	struct file *file = request->file;
	struct socket *socket;

	if (!file || (file->f_inode->i_mode & 0170000) != 0140000)
		return 0;
	socket = bpf_rdonly_cast(file->private_data, bpf_core_type_id_kernel(struct socket));
	return (__u64)socket->sk;
}

static __always_inline void buffers_of_request(struct buffers *to, struct io_kiocb *request)
{
	__u8 opcode = request->opcode;
	struct io_sr_msg *message;
	struct io_rw *transfer;

	transfer = bpf_rdonly_cast(request, bpf_core_type_id_kernel(struct io_rw));
	message = bpf_rdonly_cast(request, bpf_core_type_id_kernel(struct io_sr_msg));
	switch (opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		to->base = transfer->addr;
		to->kind = BUFFERS_ONE;
		return;
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		to->base = transfer->addr;
		to->count = transfer->len > 1024 ? 1024 : transfer->len;
		to->kind = BUFFERS_VECTOR;
		return;
	case IORING_OP_SEND:
	case IORING_OP_RECV:
	case IORING_OP_SEND_ZC:
		to->base = (__u64)message->umsg;
		to->kind = BUFFERS_ONE;
		return;
	case IORING_OP_RECVMSG:
		if (request->flags & REQ_F_BUFFER_SELECT)
			return;
		buffers_of_message(to, (__u64)message->umsg);
		return;
	case IORING_OP_SENDMSG:
	case IORING_OP_SENDMSG_ZC:
		buffers_of_message(to, (__u64)message->umsg);
		return;
	}
}

static __always_inline bool is_request_for(__u64 address, const struct uring_key *key)
{
	struct io_kiocb *request = request_at(address);

	return address && direction_of(request->opcode) == key->direction &&
	       socket_of_request(request) == key->socket;
}

static __always_inline __u64 request_of_worker(struct task_struct *task)
{
	struct io_worker *worker;
	__u64 work;

	if (!task->worker_private)
		return 0;
	worker = bpf_rdonly_cast(task->worker_private, bpf_core_type_id_kernel(struct io_worker));
	work = (__u64)worker->cur_work;
	return work ? work - bpf_core_field_offset(struct io_kiocb, work) : 0;
}

static __always_inline void buffers_of_uring(struct buffers *to, struct sock *sk,
					     struct task_struct *task, __u8 direction)
{
	struct uring_key key = { (__u64)sk, direction };
	struct thread_state *thread;
	__u64 *waiting, request;

	if (task->flags & PF_IO_WORKER) {
		request = request_of_worker(task);
		if (is_request_for(request, &key)) {
			buffers_of_request(to, request_at(request));
			return;
		}
	}
	thread = bpf_task_storage_get(&thread_states, task, 0, 0);
	if (thread && is_request_for(thread->uring_request, &key)) {
		buffers_of_request(to, request_at(thread->uring_request));
		return;
	}
	waiting = bpf_map_lookup_elem(&uring_requests, &key);
	if (waiting && is_request_for(*waiting, &key))
		buffers_of_request(to, request_at(*waiting));
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submitted, void *request)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_state *thread;

	if (!is_selected(task) || !direction_of(request_at((__u64)request)->opcode))
		return 0;
	thread = bpf_task_storage_get(&thread_states, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		thread->uring_request = (__u64)request;
	return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(uring_waits, void *request)
{
	__u64 address = (__u64)request;
	struct io_kiocb *waiting = request_at(address);
	struct uring_key key = { 0, direction_of(waiting->opcode) };

	if (!key.direction || !is_selected(bpf_get_current_task_btf()))
		return 0;
	key.socket = socket_of_request(waiting);
	if (key.socket)
		bpf_map_update_elem(&uring_requests, &key, &address, BPF_ANY);
	return 0;
}

#endif
