// SPDX-License-Identifier: GPL-2.0
/*
 * The few functions of language runtimes that must be seen to follow a request inside a
 * process. Attached to selected processes only (uprobe.multi by pid, Linux 6.6 on).
 */
#include "buffers.bpf.h"
#include "selection.bpf.h"
#include "lineage.bpf.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
/* conn.fd in net.TCPConn, conn in crypto/tls.Conn, pfd.Sysfd in net.netFD; m in runtime.g */
#define GO_INTERFACE_DATA 8
#define GO_NETFD_SYSFD 16
#define GO_G_M 48

static __always_inline struct wire_runtime *runtime_of(struct task_struct *task, __u32 kind)
{
	struct selection *selection = bpf_task_storage_get(&selected_tasks, task, 0, 0);
	struct wire_runtime *runtime;
	__u32 tgid = task->tgid;

	if (!selection || !selection->target || selection->pending)
		return NULL;
	runtime = bpf_map_lookup_elem(&runtime_processes, &tgid);
	return runtime && runtime->kind == kind ? runtime : NULL;
}

/* Go's first argument and result; a C function's result. */
static __always_inline __u64 first_register(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->ax;
#else
	return regs->regs[0];
#endif
}

/* The address of the TCP socket behind a descriptor of this process; 0 if it is none. */
static __always_inline __u64 socket_of_descriptor(struct task_struct *task, __u64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return (__u64)BPF_CORE_READ(socket, sk);
}

/*
 * net/http.(*persistConn).roundTrip: the goroutine that wants a request hands it to the
 * connection's own, which writes it.
 */
SEC("uprobe.multi")
int go_round_trip(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_runtime *runtime = runtime_of(task, RUNTIME_GO);
	struct origin *known, origin = {};
	__u64 connection, socket;

	if (!runtime)
		return 0;
	/* persistConn.conn is an interface: of a net.TCPConn, or of a tls.Conn around one. */
	connection = read_user_u64(first_register(ctx) + runtime->connection +
				   GO_INTERFACE_DATA);
	socket = socket_of_descriptor(task, read_user_u64(read_user_u64(connection) +
							  GO_NETFD_SYSFD));
	if (!socket) {
		connection = read_user_u64(connection + GO_INTERFACE_DATA);
		socket = socket_of_descriptor(task, read_user_u64(read_user_u64(connection) +
								  GO_NETFD_SYSFD));
	}
	if (!socket)
		return 0;
	known = goroutine_origin(runtime, goroutine_of(ctx), task->tgid);
	if (known)
		origin = *known;
	bpf_map_update_elem(&go_callers, &socket, &origin, BPF_ANY);
	return 0;
}

/* The end of runtime.newproc1, which has made a goroutine: it works for what its maker does. */
SEC("uprobe.multi")
int go_created(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_runtime *runtime = runtime_of(task, RUNTIME_GO);
	struct goroutine_key key = {};
	struct origin *known, origin;
	__u64 made, maker;

	if (!runtime)
		return 0;
	made = first_register(ctx);
	key.tgid = task->tgid;
	if (runtime->parent_goid) {
		key.goid = read_user_u64(made + runtime->parent_goid);
	} else {
		/* It runs on the thread's own stack: g0.m.curg asked for it. */
		maker = read_user_u64(read_user_u64(goroutine_of(ctx) + GO_G_M) +
				      runtime->current);
		key.goid = read_user_u64(maker + runtime->goid);
	}
	known = bpf_map_lookup_elem(&goroutines, &key);
	if (!known)
		return 0;
	origin = *known;
	goroutine_works_for(runtime, made, task->tgid, &origin);
	return 0;
}

/* PyContext_CopyCurrent returns the new context; the current one is what it was copied from. */
SEC("uretprobe.multi")
int python_copied(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_runtime *runtime = runtime_of(task, RUNTIME_PYTHON);
	struct python_lineage made = {};
	struct lineage_room room = {};
	__u64 id;

	if (!runtime)
		return 0;
	room.key.tgid = task->tgid;
	room.key.context = python_current(runtime, task);
	if (room.key.context)
		made.parent = context_met(&room);
	id = new_context_id();
	room.key.context = first_register(ctx);
	if (!room.key.context || bpf_map_update_elem(&python_lineages, &id, &made, BPF_ANY))
		return 0;
	bpf_map_update_elem(&python_contexts, &room.key, &id, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
