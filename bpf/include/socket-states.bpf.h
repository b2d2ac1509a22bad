/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the state of a socket is found and how its fields are read. A pointer that a tracepoint
 * hands over can be read in place and has storage of its own. A pointer that was found by way
 * of a file descriptor (SOCKETS_BY_ADDRESS) is only a number to the verifier.
 */
#ifndef BACKSTITCH_SOCKET_STATES_BPF_H
#define BACKSTITCH_SOCKET_STATES_BPF_H

#ifdef SOCKETS_BY_ADDRESS

#define FIELD(pointer, field) BPF_CORE_READ(pointer, field)
#define FIELD2(pointer, field, second) BPF_CORE_READ(pointer, field, second)

/*
 * By the socket's address. Inserted as below; deleted when the socket is destroyed. When full
 * the longest unused go, and their connections are announced again at their next call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct socket_state);
} socket_states SEC(".maps");

/* 48 bits tell kernel addresses apart and fit into a double. */
static __always_inline __u64 socket_id(struct sock *sk)
{
	return (__u64)sk & 0xffffffffffff;
}

static __always_inline struct socket_state *state_of(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&socket_states, &key);
}

static __always_inline struct socket_state *state_made(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&socket_states, &key);
	struct socket_state empty = {};

	if (state)
		return state;
	bpf_map_update_elem(&socket_states, &key, &empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&socket_states, &key);
}

static __always_inline void state_gone(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&socket_states, &key);
}

#else

#define FIELD(pointer, field) ((pointer)->field)
#define FIELD2(pointer, field, second) ((pointer)->field->second)

/* Inserted by a selected thread's connect() or first call; freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} socket_states SEC(".maps");

static __always_inline __u64 socket_id(struct sock *sk)
{
	return bpf_get_socket_cookie(sk);
}

static __always_inline struct socket_state *state_of(struct sock *sk)
{
	return bpf_sk_storage_get(&socket_states, sk, 0, 0);
}

static __always_inline struct socket_state *state_made(struct sock *sk)
{
	return bpf_sk_storage_get(&socket_states, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void state_gone(struct sock *sk)
{
}

#endif
#endif
