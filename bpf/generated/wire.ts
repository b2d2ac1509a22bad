// SPDX-License-Identifier: Apache-2.0
// Made by `npm run generate` from bpf/include/wire.h.

export const WIRE_CONNECTION = 1;
export const WIRE_DATA = 2;
export const WIRE_CLOSE = 3;
export const WIRE_PROCESS_FORK = 16;
export const WIRE_PROCESS_EXEC = 17;
export const WIRE_PROCESS_EXIT = 18;
export const WIRE_LISTEN = 19;
export const WIRE_PROCESS_SEEDED = 20;
export const DATA_SEND = 0x01;
export const DATA_NO_PAYLOAD = 0x02;
export const DATA_TRIGGER_CONNECT = 0x04;
export const DATA_SLEPT = 0x08;
export const DATA_WAITED = 0x20;
export const DATA_SHED = 0x10;
export const CONNECTION_OPENED = 0x01;
export const CONNECTION_OPENER = 0x02;
export const CONNECTION_ACCEPTER = 0x04;
export const WIRE_PROTOCOL_UNKNOWN = 0;
export const WIRE_PROTOCOL_HTTP1 = 1;
export const WIRE_PROTOCOL_REDIS = 2;
export const WIRE_PROTOCOL_POSTGRESQL = 3;
export const WIRE_PROTOCOL_HTTP2 = 4;
export const WIRE_PROTOCOL_UNDETERMINED = 255;

export const WIRE_HEADER_BYTES = 16;
export const WIRE_HEADER_KIND = 0;
export const WIRE_HEADER_SIZE = 2;
export const WIRE_HEADER_CPU = 4;
export const WIRE_HEADER_TIME_NS = 8;

export const WIRE_CONNECTION_BYTES = 88;
export const WIRE_CONNECTION_HEADER = 0;
export const WIRE_CONNECTION_SOCKET = 16;
export const WIRE_CONNECTION_TGID = 24;
export const WIRE_CONNECTION_NETNS = 28;
export const WIRE_CONNECTION_CGROUP_ID = 32;
export const WIRE_CONNECTION_LOCAL_START = 40;
export const WIRE_CONNECTION_REMOTE_START = 44;
export const WIRE_CONNECTION_LOCAL_ADDRESS = 48;
export const WIRE_CONNECTION_LOCAL_ADDRESS_COUNT = 16;
export const WIRE_CONNECTION_REMOTE_ADDRESS = 64;
export const WIRE_CONNECTION_REMOTE_ADDRESS_COUNT = 16;
export const WIRE_CONNECTION_LOCAL_PORT = 80;
export const WIRE_CONNECTION_REMOTE_PORT = 82;
export const WIRE_CONNECTION_FAMILY = 84;
export const WIRE_CONNECTION_FLAGS = 85;
export const WIRE_CONNECTION_PROTOCOL = 86;

export const WIRE_DATA_BYTES = 72;
export const WIRE_DATA_HEADER = 0;
export const WIRE_DATA_SOCKET = 16;
export const WIRE_DATA_POSITION = 24;
export const WIRE_DATA_LENGTH = 32;
export const WIRE_DATA_CAPTURED = 36;
export const WIRE_DATA_FLAGS = 38;
export const WIRE_DATA_RESERVED = 39;
export const WIRE_DATA_TGID = 40;
export const WIRE_DATA_TID = 44;
export const WIRE_DATA_TRIGGER_SOCKET = 48;
export const WIRE_DATA_TRIGGER_POSITION = 56;
export const WIRE_DATA_TAIL = 64;
export const WIRE_DATA_TAIL_COUNT = 8;

export const WIRE_CLOSE_BYTES = 48;
export const WIRE_CLOSE_HEADER = 0;
export const WIRE_CLOSE_SOCKET = 16;
export const WIRE_CLOSE_SENT = 24;
export const WIRE_CLOSE_RECEIVED = 32;
export const WIRE_CLOSE_ERROR = 40;
export const WIRE_CLOSE_RESERVED = 44;

export const WIRE_PROCESS_BYTES = 56;
export const WIRE_PROCESS_HEADER = 0;
export const WIRE_PROCESS_TGID = 16;
export const WIRE_PROCESS_PARENT = 20;
export const WIRE_PROCESS_START_TIME_NS = 24;
export const WIRE_PROCESS_SELECTED = 32;
export const WIRE_PROCESS_PENDING = 36;
export const WIRE_PROCESS_NAME = 40;
export const WIRE_PROCESS_NAME_COUNT = 16;

export const WIRE_LISTEN_BYTES = 24;
export const WIRE_LISTEN_HEADER = 0;
export const WIRE_LISTEN_TGID = 16;
export const WIRE_LISTEN_PORT = 20;
export const WIRE_LISTEN_FAMILY = 22;

export const CAPTURE_COUNTERS_BYTES = 208;
export const CAPTURE_COUNTERS_SHED_PER_MILLE = 0;
export const CAPTURE_COUNTERS_ANNOUNCE_GENERATION = 4;
export const CAPTURE_COUNTERS_SEEN = 8;
export const CAPTURE_COUNTERS_CAPTURED = 16;
export const CAPTURE_COUNTERS_BYTES_SEEN = 24;
export const CAPTURE_COUNTERS_BYTES_CAPTURED = 32;
export const CAPTURE_COUNTERS_CONNECTIONS = 40;
export const CAPTURE_COUNTERS_MARKERS = 48;
export const CAPTURE_COUNTERS_PREFIXES = 56;
export const CAPTURE_COUNTERS_CLOSES = 64;
export const CAPTURE_COUNTERS_CLOSES_LOST = 72;
export const CAPTURE_COUNTERS_DROPPED = 80;
export const CAPTURE_COUNTERS_DROPPED_COUNT = 8;
export const CAPTURE_COUNTERS_NO_PAYLOAD = 144;
export const CAPTURE_COUNTERS_NO_PAYLOAD_COUNT = 8;
