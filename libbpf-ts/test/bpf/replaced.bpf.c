// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* A program whose function `answer` another program may replace. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__noinline int answer(struct __sk_buff *ctx)
{
	volatile int value = 1;

	return ctx ? value : 0;
}

SEC("tc")
int asks(struct __sk_buff *ctx)
{
	return answer(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
