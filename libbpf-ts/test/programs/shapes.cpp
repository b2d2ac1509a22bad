// SPDX-License-Identifier: Apache-2.0
// Mangled names for the look-ups: overloads, a namespace and a template.
#include <cstdio>

namespace shop {
__attribute__((noinline)) int price(int amount) { return amount * 3; }
__attribute__((noinline)) int price(const char *name) { return name[0]; }
template <typename T> __attribute__((noinline)) T twice(T value) { return value + value; }
struct Basket {
	__attribute__((noinline)) int total(int count) const { return count * 7; }
};
} // namespace shop

int main(int count, char **words)
{
	shop::Basket basket;
	printf("%ld\n", shop::price(count) + shop::price(words[0]) + shop::twice<long>(count) +
			       basket.total(count));
	return 0;
}
