// SPDX-License-Identifier: Apache-2.0
/* What the uprobe tests probe. For each line on stdin it calls its functions and says "done". */
#include <stdio.h>

#define PLAIN(name, factor)                                          \
	__attribute__((noinline)) long name(long value)              \
	{                                                            \
		__asm__ volatile("" : "+r"(value) : : "memory");     \
		return value * factor;                               \
	}

PLAIN(target_double, 2)
PLAIN(target_triple, 3)

/* A USDT probe as sys/sdt.h lays it out: provider "shop", name "sold", one 8 byte argument. */
#define NOTE                                                         \
	"990: nop\n"                                                 \
	".pushsection .note.stapsdt,\"\",\"note\"\n"                 \
	".balign 4\n.4byte 992f-991f, 994f-993f, 3\n"                \
	"991: .asciz \"stapsdt\"\n992: .balign 4\n"                  \
	"993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n"        \
	".asciz \"shop\"\n.asciz \"sold\"\n.asciz \"-8@%0\"\n"       \
	"994: .balign 4\n.popsection\n"                              \
	".ifndef _.stapsdt.base\n"                                   \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"             \
	"_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n"         \
	".popsection\n.endif\n"

static inline __attribute__((always_inline)) long inner_step(long value)
{
	__asm__ volatile("nop" : "+r"(value) : : "memory");
	return value + 1;
}

__attribute__((noinline)) long target_outer(long value)
{
	return inner_step(value) * 3;
}

__attribute__((noinline)) void target_sell(long amount)
{
	__asm__ volatile(NOTE : : "r"(amount));
}

#ifdef __x86_64__
/* Never called: begins with an instruction that the kernel refuses to probe. */
__asm__(".globl target_forbidden\n.type target_forbidden,@function\n"
	"target_forbidden: cli\nret\n.size target_forbidden,.-target_forbidden\n");
#endif

int main(void)
{
	char line[64];
	long sum = 0;

	while (fgets(line, sizeof(line), stdin)) {
		sum += target_double(21) + target_triple(5) + target_outer(1);
		target_sell(99);
		printf("done\n");
		fflush(stdout);
	}
	return sum < 0;
}
