/* SPDX-License-Identifier: GPL-2.0 */
/* Which protocol starts with these bytes: one function a protocol, one line in classify(). */
#ifndef BACKSTITCH_CLASSIFY_BPF_H
#define BACKSTITCH_CLASSIFY_BPF_H

#include "wire.h"

/* The first n bytes of a string as the little-endian number that they are in memory. */
#define PACK4(a, b, c, d) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24)
#define PACK8(a, b, c, d, e, f, g, h) (PACK4(a, b, c, d) | PACK4(e, f, g, h) << 32)
#define FIRST_BYTES(n) (~0ULL >> (64 - 8 * (n)))
#define STARTS(first, n, a, b, c, d, e, f, g, h) \
	(((first) & FIRST_BYTES(n)) == (PACK8(a, b, c, d, e, f, g, h) & FIRST_BYTES(n)))

/* RFC 9110 section 9 methods, PATCH (RFC 5789), WebDAV's (RFC 4918), RFC 9110's registry. */
static __always_inline bool http1_request(__u64 first)
{
	switch ((__u32)first) {
	case PACK4('G', 'E', 'T', ' '):
	case PACK4('P', 'U', 'T', ' '):
		return true;
	case PACK4('P', 'O', 'S', 'T'):
		return STARTS(first, 5, 'P', 'O', 'S', 'T', ' ', 0, 0, 0);
	case PACK4('H', 'E', 'A', 'D'):
		return STARTS(first, 5, 'H', 'E', 'A', 'D', ' ', 0, 0, 0);
	case PACK4('P', 'A', 'T', 'C'):
		return STARTS(first, 6, 'P', 'A', 'T', 'C', 'H', ' ', 0, 0);
	case PACK4('D', 'E', 'L', 'E'):
		return STARTS(first, 7, 'D', 'E', 'L', 'E', 'T', 'E', ' ', 0);
	case PACK4('O', 'P', 'T', 'I'):
		return STARTS(first, 8, 'O', 'P', 'T', 'I', 'O', 'N', 'S', ' ');
	case PACK4('C', 'O', 'N', 'N'):
		return STARTS(first, 8, 'C', 'O', 'N', 'N', 'E', 'C', 'T', ' ');
	case PACK4('T', 'R', 'A', 'C'):
		return STARTS(first, 6, 'T', 'R', 'A', 'C', 'E', ' ', 0, 0);
	case PACK4('Q', 'U', 'E', 'R'):
		return STARTS(first, 6, 'Q', 'U', 'E', 'R', 'Y', ' ', 0, 0);
	case PACK4('R', 'E', 'P', 'O'):
		return STARTS(first, 7, 'R', 'E', 'P', 'O', 'R', 'T', ' ', 0);
	case PACK4('P', 'R', 'O', 'P'):
		return STARTS(first, 8, 'P', 'R', 'O', 'P', 'F', 'I', 'N', 'D') ||
		       STARTS(first, 8, 'P', 'R', 'O', 'P', 'P', 'A', 'T', 'C');
	case PACK4('S', 'E', 'A', 'R'):
		return STARTS(first, 7, 'S', 'E', 'A', 'R', 'C', 'H', ' ', 0);
	case PACK4('M', 'K', 'C', 'O'):
		return STARTS(first, 6, 'M', 'K', 'C', 'O', 'L', ' ', 0, 0);
	case PACK4('C', 'O', 'P', 'Y'):
		return STARTS(first, 5, 'C', 'O', 'P', 'Y', ' ', 0, 0, 0);
	case PACK4('M', 'O', 'V', 'E'):
		return STARTS(first, 5, 'M', 'O', 'V', 'E', ' ', 0, 0, 0);
	case PACK4('L', 'O', 'C', 'K'):
		return STARTS(first, 5, 'L', 'O', 'C', 'K', ' ', 0, 0, 0);
	case PACK4('U', 'N', 'L', 'O'):
		return STARTS(first, 7, 'U', 'N', 'L', 'O', 'C', 'K', ' ', 0);
	default:
		return false;
	}
}

static __always_inline bool http1_response(__u64 first)
{
	return STARTS(first, 7, 'H', 'T', 'T', 'P', '/', '1', '.', 0);
}

static __always_inline bool is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

/* RESP: a command is an array of bulk strings, `*` count CRLF `$` length; count up to four digits. */
static __always_inline bool redis_request(__u64 first)
{
	const __u32 next = PACK4('\r', '\n', '$', 0);

	if ((__u8)first != '*' || !is_digit(first >> 8) || (__u8)(first >> 8) == '0')
		return false;
	if ((first >> 16 & 0xffffff) == next)
		return is_digit(first >> 40);
	if (!is_digit(first >> 16))
		return false;
	if ((first >> 24 & 0xffffff) == next)
		return is_digit(first >> 48);
	if (!is_digit(first >> 24))
		return false;
	if ((first >> 32 & 0xffffff) == next)
		return is_digit(first >> 56);
	return is_digit(first >> 32) && first >> 40 == next;
}

static __always_inline bool is_text(__u8 byte)
{
	return (byte >= ' ' && byte < 0x7f) || (byte >= '\t' && byte <= '\r');
}

/*
 * PostgreSQL: a startup packet is a length and version 3.x or a request code (TLS, GSSAPI,
 * cancel); a statement is Query or Parse with a length below 16 MB and the beginning of a text,
 * or Bind with names.
 */
static __always_inline bool postgresql_request(__u64 first)
{
	__u32 length = bpf_ntohl((__u32)first);
	__u32 code = bpf_ntohl((__u32)(first >> 32));
	__u8 type = first;

	if (length >= 8 && length <= 10000)
		return code >> 16 == 3 ? (code & 0xffff) <= 2 && length > 8 :
		       (code == 80877103 || code == 80877104) ? length == 8 :
		       code == 80877102 && length >= 16;
	if ((type != 'Q' && type != 'P' && type != 'B') || (__u8)(first >> 8))
		return false;
	if (type == 'Q')
		return is_text(first >> 40) && is_text(first >> 48) && is_text(first >> 56);
	/* A name, often empty, ends with NUL; after it a text, or another name. */
	if ((__u8)(first >> 40))
		return is_text(first >> 40) && ((__u8)(first >> 48) == 0 || is_text(first >> 48));
	return is_text(first >> 48) || (type == 'B' && !(__u8)(first >> 48));
}

__noinline int classify_request(__u64 first)
{
	if (http1_request(first))
		return WIRE_PROTOCOL_HTTP1;
	if (redis_request(first))
		return WIRE_PROTOCOL_REDIS;
	return postgresql_request(first) ? WIRE_PROTOCOL_POSTGRESQL : WIRE_PROTOCOL_UNKNOWN;
}

/*
 * HTTP/2 (RFC 9113): the preface, or the 9-byte header of a frame of the connection itself: SETTINGS,
 * PING, WINDOW_UPDATE. Other frames' headers are less sure, and left to userspace.
 */
static __always_inline bool http2_start(__u64 first)
{
	__u32 length = bpf_ntohl((__u32)first) >> 8;
	__u8 type = first >> 24, flags = first >> 32;

	if (STARTS(first, 8, 'P', 'R', 'I', ' ', '*', ' ', 'H', 'T'))
		return true;
	/* Of stream 0, or of one of the first. */
	if (first >> 40)
		return false;
	if (type == 8)
		return length == 4 && !flags;
	if (type == 6)
		return length == 8 && flags <= 1;
	return type == 4 && !flags && length && length % 6 == 0 && length <= 600;
}

/* A TLS record (RFC 8446 section 5.1): of a handshake, or of an established session. */
static __always_inline bool tls_record(__u64 first, __u32 count)
{
	__u8 type = first, message = first >> 40;
	__u32 length = (__u32)(__u8)(first >> 24) << 8 | (__u8)(first >> 32);

	if (count < 5 || (__u8)(first >> 8) != 3 || (__u8)(first >> 16) > 4)
		return false;
	if (!length || length > 18432)
		return false;
	if (type == 22)
		return count == 5 || message == 1 || message == 2;
	return type == 23 && (__u8)(first >> 16) >= 1 && length >= 16;
}

/*
 * `count`: how many of the first eight bytes there are. Not static: the verifier looks at such a
 * function once, not at each call.
 */
__noinline int classify(__u64 first, __u32 count)
{
	if (tls_record(first, count))
		return WIRE_PROTOCOL_TLS;
	if (count < 8)
		return WIRE_PROTOCOL_UNKNOWN;
	if (http1_response(first))
		return WIRE_PROTOCOL_HTTP1;
	if (http2_start(first))
		return WIRE_PROTOCOL_HTTP2;
	return classify_request(first);
}

#endif
