// SPDX-License-Identifier: GPL-2.0
/*
 * Every send and receive on TCP sockets of selected threads, by whatever system call, on two
 * tracepoints (Linux 6.3 on). Includes, in this order, what a reader needs: buffers, the
 * system call that gives them, what becomes of a call.
 */
#include "buffers.bpf.h"
#include "syscall.bpf.h"
#include "capture.bpf.h"
#include "datagrams.bpf.h"

extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym;

#include "uring.bpf.h"

/*
 * Where receives tell from whom a datagram came: the kernel gives it to the process only after
 * the tracepoint, but runs this program before. By thread; the longest unused go.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct wire_peer);
} datagram_peers SEC(".maps");

static __always_inline void on_datagram(struct sock *sk, __u32 length, __u8 direction,
					struct task_struct *task, bool readable)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct call call = { sk, task, datagram_state(sk), counters(), 0, length, direction };
	__u64 thread = bpf_get_current_pid_tgid(), message;
	struct wire_peer peer = {}, *from;
	struct buffers buffers = {};
	struct syscall arguments;

	if (!call.state || !call.count)
		return;
	buffers.reason = NO_PAYLOAD_COMPAT;
	if (!is_compat(task) && readable) {
		read_syscall(&arguments, regs);
		buffers_of_syscall(&buffers, &arguments);
		message = message_of(call.state, &arguments);
		if (message)
			buffers_of_message(&buffers, message);
		if (direction == DIRECTION_SEND)
			peer_of_call(&peer, &arguments, regs, message);
	}
	if (direction == DIRECTION_RECEIVE) {
		from = bpf_map_lookup_elem(&datagram_peers, &thread);
		if (from) {
			peer = *from;
			bpf_map_delete_elem(&datagram_peers, &thread);
		}
	}
	observe_datagram(&call, &buffers, &peer);
}

/* Before the end of a receive of which the process wants to know the sender. */
static __always_inline void remember_sender(const struct bpf_sock_addr *context,
					    struct wire_peer *peer)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct bpf_sock *sk = context->sk;

	if (!sk || !(rules_of_port(sk->src_port) & PORT_DATAGRAMS))
		return;
	peer->port = bpf_ntohs(context->user_port);
	bpf_map_update_elem(&datagram_peers, &thread, peer, BPF_ANY);
}

SEC("cgroup/recvmsg4")
int datagram_from_v4(struct bpf_sock_addr *context)
{
	struct wire_peer peer = {};

	set_peer_v4(&peer, context->user_ip4);
	remember_sender(context, &peer);
	return 1;
}

SEC("cgroup/recvmsg6")
int datagram_from_v6(struct bpf_sock_addr *context)
{
	struct wire_peer peer = {};
	__u32 address[4] = { context->user_ip6[0], context->user_ip6[1], context->user_ip6[2],
			     context->user_ip6[3] };

	set_peer_v6(&peer, address);
	remember_sender(context, &peer);
	return 1;
}

SEC("cgroup/sock_release")
int datagram_socket_closed(struct bpf_sock *sk)
{
	if (sk->protocol == IPPROTO_UDP)
		write_close(bpf_sk_storage_get(&socket_states, sk, 0, 0));
	return 1;
}

static __always_inline void on_call(struct sock *sk, __u32 length, __u8 direction, bool readable)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct buffers buffers = {};
	struct syscall call;
	const struct tcp_sock *tp;

	if (!is_selected(task))
		return;
	if (!is_tcp(sk)) {
		if (captures_datagrams && is_udp(sk))
			on_datagram(sk, length, direction, task, readable);
		return;
	}
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
