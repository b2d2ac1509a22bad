/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which tasks are observed. The map is created by selection.bpf.c (extension discovery)
 * and reused by every capturing object, so that one look-up decides.
 */
#ifndef BACKSTITCH_SELECTION_BPF_H
#define BACKSTITCH_SELECTION_BPF_H

struct selection {
	__u32 target; /* number of the target that selected the task; 0: not selected */
	__u32 pending; /* 1: exec'ed and not yet confirmed by userspace: not observed */
};

/*
 * Inserted: by iter/task when userspace selects a process, by fork for descendants.
 * Cleared: by iter/task when userspace deselects. Freed by the kernel with the task.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct selection);
} selected_tasks SEC(".maps");

#endif
