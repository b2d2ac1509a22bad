/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The records that the kernel side writes into ring buffers: the only place where
 * they are written down. `npm run generate` turns this file into
 * bpf/generated/wire.ts. Little-endian, naturally aligned, no implicit padding.
 */
#ifndef BACKSTITCH_WIRE_H
#define BACKSTITCH_WIRE_H

/* Kinds of records; 0 is never written. */
#define WIRE_CONNECTION 1
#define WIRE_DATA 2
#define WIRE_CLOSE 3
#define WIRE_DATAGRAM 4
#define WIRE_PROCESS_FORK 16
#define WIRE_PROCESS_EXEC 17
#define WIRE_PROCESS_EXIT 18
#define WIRE_LISTEN 19
#define WIRE_PROCESS_SEEDED 20 /* written by an iterator only: a thread marked or cleared */

/* struct wire_data.flags */
#define DATA_SEND 0x01		/* written by the process; otherwise read by it */
#define DATA_NO_PAYLOAD 0x02	/* sendfile, splice, io_uring: bytes moved, buffer unknown */
#define DATA_TRIGGER_CONNECT 0x04 /* trigger_* were taken when the connection was opened */
#define DATA_SLEPT 0x08		/* the thread slept between the trigger and this send */
#define DATA_WAITED 0x20	/* with DATA_SLEPT: for events or for a time to pass, not only for a lock */
#define DATA_UNDETERMINED 0x40 /* written while userspace had not decided yet */
#define DATA_TLS 0x80		/* clear text of a TLS session on the socket; positions count clear text */
#define DATA_SHED 0x10		/* the connection is shed: no more records but its close */

/* struct wire_connection.flags */
#define CONNECTION_DATAGRAMS 0x08 /* a UDP socket: wire_datagram records follow */
#define CONNECTION_OPENED 0x01	/* this host's process called connect() while watched */
#define CONNECTION_OPENER 0x02	/* this side opened the connection; see local_start */
#define CONNECTION_ACCEPTER 0x04 /* the other side did. Neither bit: not known */

/* struct wire_data.lineage: what the process's runtime says of a send. */
#define LINEAGE_NONE 0	    /* nothing is known of its runtime: trigger_ is the thread's */
#define LINEAGE_UNKNOWN 1   /* its runtime was asked and names no request: as above */
#define LINEAGE_GOROUTINE 2 /* trigger_ is the incoming request that the goroutine works for */
#define LINEAGE_PYTHON 3    /* the same of the interpreter's context */
#define LINEAGE_JAVA 4	    /* the same of the task, by our agent in the JVM */
#define LINEAGE_NODE 5	    /* trigger_ is what the thread had read when it made the request */
#define LINEAGE_NODE_NOW 6  /* the same, and no agent's queue had it since: what it read last */

struct wire_header {
	__u16 kind;
	__u16 size; /* of the whole record, header and payload included, bytes */
	__u32 cpu;
	__u64 time_ns; /* CLOCK_MONOTONIC */
};

/*
 * Written before the first wire_data of a socket. local_start and remote_start are the
 * sequence numbers of the first byte of either stream: the connection's name, equal at both
 * ends. With neither CONNECTION_OPENER nor CONNECTION_ACCEPTER the kernel could not tell who
 * opened the connection: if it was this side, local_start is one too low and the positions
 * of sends are one too high (the SYN is counted), which userspace corrects by role.
 */
struct wire_connection {
	struct wire_header header;
	__u64 socket; /* socket cookie: unique until reboot */
	__u32 tgid;
	__u32 netns; /* inode number */
	__u64 cgroup_id;
	__u32 local_start;
	__u32 remote_start;
	__u8 local_address[16]; /* IPv4 in the first four bytes, network order */
	__u8 remote_address[16];
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u8 family; /* 4 or 6 */
	__u8 flags;
	__u16 protocol; /* the kernel's classification: a WIRE_PROTOCOL_ value */
};

#define WIRE_PROTOCOL_UNKNOWN 0
#define WIRE_PROTOCOL_HTTP1 1
#define WIRE_PROTOCOL_REDIS 2
#define WIRE_PROTOCOL_POSTGRESQL 3
#define WIRE_PROTOCOL_HTTP2 4
/* Found by userspace and captured like those above; never in a record. */
#define WIRE_PROTOCOL_FOLLOWED 127
/* Not captured from here on. */
#define WIRE_PROTOCOL_IGNORED 253 /* nothing we know; never in a record */
#define WIRE_PROTOCOL_TLS 254 /* encrypted: announced, and calls are counted */
/* Nothing the kernel knows: it sends the heads of the first messages, and userspace decides. */
#define WIRE_PROTOCOL_UNDETERMINED 255

/* Of an undetermined connection at most: bytes, changes of direction, calls in one direction. */
#define PROBE_BYTES 131072
#define PROBE_TURNS 512
#define PROBE_CALLS 256

/*
 * What userspace decided of an undetermined connection: in the map verdicts, by the socket.
 * local_start as it was announced: a socket's number may come again.
 */
struct wire_verdict {
	__u32 local_start;
	__u32 protocol; /* a WIRE_PROTOCOL_ value but UNKNOWN and UNDETERMINED */
};

/* In the map port_rules, by port: a bit set. */
#define PORT_IGNORED 0x01 /* connections from or to it are not looked at */
#define PORT_ASK 0x02	  /* userspace decides, whatever the bytes look like */
#define PORT_DATAGRAMS 0x04 /* datagrams from or to it are captured */

/*
 * One send or receive of `length` bytes on a connection that is followed or undetermined. `position` is the
 * offset of its first byte in that direction's stream (64 bits: never wraps; see
 * local_start). `captured` bytes of payload follow the struct.
 *
 * trigger: what this thread read last before this send (any watched socket), or before
 * the connect() for the first send on a connection opened while watched. 0 if nothing.
 */
struct wire_data {
	struct wire_header header;
	__u64 socket;
	__u64 position;
	__u32 length;
	__u16 captured;
	__u8 flags;
	__u8 lineage; /* LINEAGE_ */
	__u32 tgid;
	__u32 tid;
	__u64 trigger_socket;
	__u64 trigger_position; /* end of that read: one past its last byte */
	__u8 tail[8]; /* the last bytes of the call where captured < length, else 0 */
};

/*
 * The other end of a datagram. A WIRE_DATAGRAM record is a struct wire_data, `captured` bytes of
 * the datagram, and this. Positions are those of the socket: they count bytes of wanted datagrams.
 */
struct wire_peer {
	__u8 address[16]; /* as in struct wire_connection */
	__u16 port;
	__u8 family; /* 4 or 6; 0: not known */
	__u8 reserved;
	__u32 reserved2;
};

/* The socket is gone. Positions that the watched process reached in either stream. */
struct wire_close {
	struct wire_header header;
	__u64 socket;
	__u64 sent; /* stream position reached, bytes */
	__u64 received;
	__u32 error; /* sk_err: ECONNRESET and others, 0 for an orderly end */
	__u32 reserved;
};

/* fork: tgid is the new process, parent its parent. exec, exit: tgid. */
struct wire_process {
	struct wire_header header;
	__u32 tgid;
	__u32 parent;
	__u64 start_time_ns; /* of the process, CLOCK_BOOTTIME as /proc/PID/stat */
	__u32 selected; /* target number that the kernel inherited, 0 for none */
	__u32 pending; /* 1: not observed until userspace has confirmed it */
	__u8 name[16]; /* the kernel's short name of the program, NUL-terminated */
};

/*
 * How to read the runtime of a process: in the map runtime_processes, by tgid. Offsets in bytes;
 * what does not exist in that version is 0.
 */
struct wire_runtime {
	__u32 kind;	    /* RUNTIME_ */
	__u32 goid;	    /* in runtime.g */
	__u32 parent_goid;  /* the same, since Go 1.21 */
	__u32 current;	    /* curg in runtime.m, for Go without parent_goid */
	__u32 connection;   /* conn in net/http.persistConn */
	__u32 thread_state; /* Python: from the thread's base to the slot with its PyThreadState */
	__u32 context;	    /* in PyThreadState */
	__u32 slot;	    /* Node: index in the map node_turns */
	__u64 table;	    /* Java: address of our agent's table; 0: not yet. Node: of its async ids */
};

#define RUNTIME_GO 1
#define RUNTIME_PYTHON 2
#define RUNTIME_JAVA 3
#define RUNTIME_NODE 4

/* Node processes followed at a time. */
#define NODE_SLOTS 32

/* What a function of a TLS library does, in the cookie of its probe. */
#define TLS_CALL_READS 0x01
#define TLS_CALL_WRITES 0x02
#define TLS_CALL_COUNTS 0x04 /* the result is a success, the bytes are counted by reference */
#define TLS_CALL_SENDS_FILE 0x08
#define TLS_CALL_LONG 0x10 /* the result has 64 bits */
#define TLS_CALL_BEGINS 0x20 /* a session that nobody knows begins here */
#define TLS_CALL_ENDS 0x40
#define TLS_CALL_READS_APART 0x80 /* the library's reads are seen where they end, by registers */
#define TLS_CALL_UNSURE 0x100 /* of anything that can be read or written, sessions are among them */

/* In capture_counters.follows_tls: some of the processes are of Go. */
#define TLS_IN_GO 0x80000000
#define TLS_IN_JAVA 0x40000000 /* the same of JVMs with our agent */

struct wire_listen {
	struct wire_header header;
	__u32 tgid;
	__u16 port;
	__u16 family; /* 4 or 6 */
};

/*
 * One a CPU, in the map capture_counters: what became of the calls of selected threads.
 * seen = captured + the sum of dropped. Bytes are those that the calls moved. Knobs that
 * userspace turns while programs run stand here too, since every call touches this memory.
 */
struct capture_counters {
	__u32 shed_per_mille; /* connections not captured, by the hash of their name */
	__u32 announce_generation; /* when raised, connections are announced again */
	__u32 follows_runtimes; /* processes in the map runtime_processes */
	__u32 follows_tls; /* processes whose TLS library is watched; TLS_IN_ */
	__u64 seen;
	__u64 captured;
	__u64 bytes_seen;
	__u64 bytes_captured; /* payload copied into the ring */
	__u64 connections;    /* wire_connection records written */
	__u64 markers;	      /* wire_data records with DATA_SHED: belong to no captured call */
	__u64 closes;	      /* wire_close records written */
	__u64 closes_lost;    /* not written: the ring was full */
	__u64 dropped[8];     /* by reason, DROP_ in codes.h */
	__u64 no_payload[8];  /* captured without payload by reason, NO_PAYLOAD_ in codes.h */
};

_Static_assert(sizeof(struct wire_header) == 16, "wire_header");
_Static_assert(sizeof(struct wire_connection) == 88, "wire_connection");
_Static_assert(sizeof(struct wire_data) == 72, "wire_data");
_Static_assert(sizeof(struct wire_close) == 48, "wire_close");
_Static_assert(sizeof(struct wire_process) == 56, "wire_process");
_Static_assert(sizeof(struct wire_listen) == 24, "wire_listen");
_Static_assert(sizeof(struct wire_runtime) == 40, "wire_runtime");
_Static_assert(sizeof(struct wire_peer) == 24, "wire_peer");
_Static_assert(sizeof(struct wire_verdict) == 8, "wire_verdict");
_Static_assert(sizeof(struct capture_counters) == 208, "capture_counters");

#endif
