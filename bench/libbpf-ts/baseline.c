// SPDX-License-Identifier: Apache-2.0
/* The same work by libbpf's own consumer and calls, as JSON in nanoseconds a unit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static unsigned long long sum;
static unsigned int sum32;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int on_record(void *context, void *data, size_t bytes)
{
	(void)context;
	(void)bytes;
	sum32 += ((unsigned int *)data)[2];
	return 0;
}

static double read_ring(struct bpf_object *object, unsigned long long count, int rounds)
{
	int fill = bpf_program__fd(bpf_object__find_program_by_name(object, "fill"));
	int map = bpf_object__find_map_fd_by_name(object, "records");
	struct ring_buffer *ring = ring_buffer__new(map, on_record, NULL, NULL);
	double best = 1e18;

	if (!ring)
		fail("ring");
	for (int round = 0; round < rounds; round++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &count, .ctx_size_in = 8);
		if (bpf_prog_test_run_opts(fill, &options))
			fail("fill");
		double start = now();
		int read = ring_buffer__consume(ring);
		double each = (now() - start) / read;
		if (read != (int)count)
			fail("consume");
		if (each < best)
			best = each;
	}
	ring_buffer__free(ring);
	return best;
}

static double lookups(int map, int count)
{
	unsigned int key;
	unsigned long long value;
	double start = now();

	for (int index = 0; index < count; index++) {
		key = index % 1000;
		if (bpf_map_lookup_elem(map, &key, &value))
			fail("get");
		sum += value;
	}
	return (now() - start) / count;
}

static double updates(int map, int count)
{
	unsigned int key;
	unsigned long long value;
	double start = now();

	for (int index = 0; index < count; index++) {
		key = index % 1000;
		value = index;
		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("set");
	}
	return (now() - start) / count;
}

#define BATCH 1024
static double read_batches(int map, unsigned int entries)
{
	unsigned int *keys = malloc((entries + BATCH) * sizeof(*keys));
	unsigned long long *values = malloc((entries + BATCH) * sizeof(*values));
	unsigned int done = 0, token = 0, next = 0;
	double start = now();

	for (int first = 1, result = 0; !result; first = 0) {
		unsigned int got = BATCH;
		result = bpf_map_lookup_batch(map, first ? NULL : &token, &next, keys + done,
					      values + done, &got, NULL);
		done += got;
		token = next;
	}
	double spent = now() - start;
	if (done != entries)
		fail("batch");
	sum += values[entries - 1];
	free(keys);
	free(values);
	return spent;
}

int main(int argc, char **argv)
{
	unsigned long long records = argc > 2 ? strtoull(argv[2], NULL, 10) : 50000;
	struct bpf_object *object = argc > 1 ? bpf_object__open(argv[1]) : NULL;

	if (!object || bpf_object__load(object))
		fail("load");
	int map = bpf_object__find_map_fd_by_name(object, "numbers");
	double ring = read_ring(object, records, 300);
	double set = 1e18, get = 1e18, batch = 1e18;
	for (int round = 0; round < 5; round++) {
		double one = updates(map, 100000);
		set = one < set ? one : set;
		one = lookups(map, 100000);
		get = one < get ? one : get;
	}
	for (unsigned int key = 0; key < 100000; key++) {
		unsigned long long value = key;
		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("fill map");
	}
	for (int round = 0; round < 10; round++) {
		double one = read_batches(map, 100000);
		batch = one < batch ? one : batch;
	}
	printf("{\"ringNs\":%.2f,\"getNs\":%.1f,\"setNs\":%.1f,\"batchNs\":%.0f,\"sum\":%llu}\n", ring,
	       get, set, batch, (sum + sum32) & 1);
	bpf_object__close(object);
	return 0;
}
