# SPDX-License-Identifier: Apache-2.0
"""Prints the ids of all BPF programs, links and maps of the kernel, as JSON. Needs root."""
import ctypes
import json
import platform

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
# BPF_*_GET_NEXT_ID of enum bpf_cmd, include/uapi/linux/bpf.h
COMMANDS = {"programs": 11, "maps": 12, "links": 31}
ENOENT = 2

libc = ctypes.CDLL(None, use_errno=True)


class Attributes(ctypes.Structure):
    _fields_ = [("start_id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 120)]


def ids(command):
    found = []
    attributes = Attributes()
    while libc.syscall(SYS_BPF, command, ctypes.byref(attributes), ctypes.sizeof(attributes)) == 0:
        found.append(attributes.next_id)
        attributes.start_id = attributes.next_id
    if ctypes.get_errno() != ENOENT:
        raise OSError(ctypes.get_errno(), "bpf")
    return found


print(json.dumps({name: ids(command) for name, command in COMMANDS.items()}))
