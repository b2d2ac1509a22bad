// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* One small program for each kind of hook. Each counts its runs in a variable of its own. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

const volatile __u32 target_pid;
const volatile __u16 target_port;
const volatile __s64 target_syscall = -1;

#define COUNTER(name)                  \
	volatile __u64 name##_hits;    \
	volatile __u64 name##_cookie
#define HIT(name) __sync_fetch_and_add(&name##_hits, 1)

COUNTER(tracepoint);
COUNTER(raw_tracepoint);
COUNTER(trace);
COUNTER(uprobe);
COUNTER(uretprobe);
COUNTER(multi);
COUNTER(session_entry);
COUNTER(session_return);
COUNTER(usdt);
COUNTER(perf);
COUNTER(connect);
COUNTER(sockops);
COUNTER(skb);
COUNTER(tcx);
COUNTER(netkit);
COUNTER(tc);
COUNTER(xdp);
COUNTER(netfilter);
COUNTER(filter);
COUNTER(message);
COUNTER(stream);
COUNTER(lookup);
volatile __u64 multi_cookies;
volatile __s64 uretprobe_value;
volatile __s64 usdt_argument;

static __always_inline bool is_target(void)
{
	return bpf_get_current_pid_tgid() >> 32 == target_pid;
}

SEC("?tracepoint/syscalls/sys_enter_getppid")
int on_tracepoint(void *ctx)
{
	if (is_target()) {
		HIT(tracepoint);
		tracepoint_cookie = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("?raw_tp/sys_enter")
int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_target() && (__s64)ctx->args[1] == target_syscall) {
		HIT(raw_tracepoint);
		raw_tracepoint_cookie = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("?tp_btf/sys_enter")
int on_trace(__u64 *ctx)
{
	if (is_target() && (__s64)ctx[1] == target_syscall) {
		HIT(trace);
		trace_cookie = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("?uprobe")
int on_uprobe(struct pt_regs *ctx)
{
	HIT(uprobe);
	uprobe_cookie = bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("?uretprobe")
int on_uretprobe(struct pt_regs *ctx)
{
	HIT(uretprobe);
	uretprobe_value = PT_REGS_RC(ctx);
	return 0;
}

SEC("?uprobe.multi")
int on_multi(struct pt_regs *ctx)
{
	HIT(multi);
	__sync_fetch_and_add(&multi_cookies, bpf_get_attach_cookie(ctx));
	return 0;
}

extern bool bpf_session_is_return(void) __ksym __weak;

SEC("?uprobe.session")
int on_session(struct pt_regs *ctx)
{
	if (bpf_session_is_return())
		HIT(session_return);
	else
		HIT(session_entry);
	session_entry_cookie = bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("?usdt")
int on_usdt(struct pt_regs *ctx)
{
	long argument = 0;

	bpf_usdt_arg(ctx, 0, &argument);
	usdt_argument = argument;
	usdt_cookie = bpf_usdt_cookie(ctx);
	HIT(usdt);
	return 0;
}

SEC("?perf_event")
int on_perf(void *ctx)
{
	if (is_target())
		HIT(perf);
	return 0;
}

SEC("?cgroup/connect4")
int on_connect(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(target_port))
		HIT(connect);
	return 1;
}

SEC("?sockops")
int on_sockops(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		HIT(sockops);
	return 1;
}

SEC("?cgroup_skb/egress")
int on_skb(struct __sk_buff *ctx)
{
	HIT(skb);
	return 1;
}

SEC("?tcx/ingress")
int on_tcx(struct __sk_buff *ctx)
{
	HIT(tcx);
	return -1;
}

SEC("?tcx/ingress")
int on_tcx_again(struct __sk_buff *ctx)
{
	__sync_fetch_and_add(&tcx_hits, 1000);
	return -1;
}

SEC("?netkit/primary")
int on_netkit(struct __sk_buff *ctx)
{
	HIT(netkit);
	return -1;
}

SEC("?tc")
int on_tc(struct __sk_buff *ctx)
{
	HIT(tc);
	return -1;
}

SEC("?xdp")
int on_xdp(struct xdp_md *ctx)
{
	HIT(xdp);
	return XDP_PASS;
}

SEC("?netfilter")
int on_netfilter(void *ctx)
{
	HIT(netfilter);
	return 1;
}

SEC("?socket")
int on_filter(struct __sk_buff *ctx)
{
	HIT(filter);
	return ctx->len;
}

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("?sk_msg")
int on_message(struct sk_msg_md *ctx)
{
	HIT(message);
	return SK_PASS;
}

SEC("?sk_skb/stream_verdict")
int on_stream(struct __sk_buff *ctx)
{
	HIT(stream);
	return SK_PASS;
}

SEC("?sockops")
int collect_sockets(struct bpf_sock_ops *ctx)
{
	__u32 key = ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ? 0 : 1;

	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		bpf_sock_map_update(ctx, &sockets, &key, BPF_ANY);
	return 1;
}

SEC("?sk_lookup")
int on_lookup(struct bpf_sk_lookup *ctx)
{
	if (ctx->local_port == target_port)
		HIT(lookup);
	return SK_PASS;
}

struct sum_context {
	__u32 left;
	__u32 right;
	__u64 sum;
};

SEC("?syscall")
int add(struct sum_context *ctx)
{
	ctx->sum = (__u64)ctx->left + ctx->right;
	return 7;
}

/* Kinds that some kernels lack. */
SEC("?kprobe")
int on_kprobe(struct pt_regs *ctx)
{
	return 0;
}

SEC("?kprobe.multi")
int on_kprobe_multi(struct pt_regs *ctx)
{
	return 0;
}

SEC("?ksyscall")
int on_ksyscall(struct pt_regs *ctx)
{
	return 0;
}

SEC("?fentry/do_nanosleep")
int on_fentry(__u64 *ctx)
{
	return 0;
}

SEC("?fexit/do_nanosleep")
int on_fexit(__u64 *ctx)
{
	return 0;
}

SEC("?lsm/file_open")
int on_lsm(__u64 *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
