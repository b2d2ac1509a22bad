// SPDX-License-Identifier: Apache-2.0

/**
 * What a receiver knows about a span's place, for processor `span_stitch`: a bytes attribute
 * `stitch.key`, the first attribute of the span, removed by the processor. Little-endian;
 * ids are opaque bytes, as in OTLP. Layout (offset: field):
 *
 *  0 u8 version (1)   1 u8 role   2 u8 flags   3 u8 trigger kind, with TRIGGER_ASYNC_ID
 *  4 u16 server requests open on the thread that wrote the request, when it did (client role)
 *  6 u16 the same of its process, but for those open for longer than 5 to 10 s; both: 65,535 and more
 *  8 u8[8] the span's own id
 * 16 u8[8] id of the span at the other end of the connection (same request, other role)
 * 24 u8[8] id of the span whose message the thread read last before it wrote this request
 * 32 u32 pid   36 u32 tid of the request's first byte
 * 40 u8[16] trace id from the request's header   56 u8[8] span id from the header
 */
export const STITCH_KEY = "stitch.key";
export const STITCH_KEY_BYTES = 64;
export const STITCH_KEY_VERSION = 1;

export const ROLE_CLIENT = 1;
export const ROLE_SERVER = 2;

/** This agent watches both ends of the connection: the other span will come. */
export const KEY_PEER_OBSERVED = 0x01;
/** The thread slept between the trigger and the request. */
export const KEY_SLEPT = 0x02;
/** The trigger was taken when the connection was opened. */
export const KEY_AT_CONNECT = 0x04;
/** The trigger's server request had no complete response yet when this request was written. */
export const KEY_TRIGGER_OPEN = 0x08;
/** Bytes 40–63 hold a trace context. */
export const KEY_HEADER = 0x10;
/** The request went out on the very connection whose response was the trigger. */
export const KEY_SAME_CONNECTION = 0x20;
/**
 * All connections to that server were busy and too few for what the open requests may call at
 * once: the request may have waited for its connection, in a queue of the process.
 */
export const KEY_POOL_BUSY = 0x40;
/** This agent does not watch the other end, and has had time to notice: its span will not come. */
export const KEY_PEER_ABSENT = 0x80;

export const TRIGGER_NONE = 0;
/** The thread last read (part of) an incoming request: a server span of the same process. */
export const TRIGGER_REQUEST = 1;
/** The thread last read (part of) the response to an earlier outgoing request: a client span. */
export const TRIGGER_RESPONSE = 2;
/** The incoming request that the writing goroutine works for, or the one that started it. */
export const TRIGGER_GOROUTINE = 3;
/** The incoming request that Python's current context works for, or one it was copied from. */
export const TRIGGER_PYTHON = 4;
/** The incoming request that the JVM's task works for, or the one that handed it over. */
export const TRIGGER_JAVA = 5;
/** The open incoming request of the process whose header has the same id; see `Exchange.requestId`. */
export const TRIGGER_REQUEST_ID = 6;

/**
 * With the kind, of a request or of a response: the runtime said in which turn of its event loop the
 * call was made; the trigger is what was read then, whatever was read since.
 */
export const TRIGGER_ASYNC_ID = 0x10;

/** Attributes that `span_stitch` writes on a span whose parent it found. */
export const STITCH_EVIDENCE = "stitch.evidence";
/** 0 to 1. */
export const STITCH_CONFIDENCE = "stitch.confidence";
/**
 * On a server span without a parent, where `span_stitch` was asked for it: the id that the client
 * span of the same request has, 16 hexadecimal digits. A gateway joins by it.
 */
export const STITCH_PEER = "stitch.peer_span_id";
