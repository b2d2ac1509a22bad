// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Takes the place of the function `answer` of another program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/answer")
int answers_otherwise(struct __sk_buff *ctx)
{
	return 42;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
