/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Made by `npm run generate` from bpf/codes.json. */
#ifndef BACKSTITCH_CODES_H
#define BACKSTITCH_CODES_H

#define DROP_UNCLASSIFIED 0 /* no known protocol on the connection */
#define DROP_RING_FULL 1 /* no room in the ring buffer; the connection is shed for a while */
#define DROP_SHED 2 /* the connection is shed: sampling under overload, or after ring_full */
#define DROP_NO_STORAGE 3 /* no memory for the state of the socket */
#define DROP_ENCRYPTED 4 /* TLS: nothing to read in it */
#define DROP_DATAGRAM 5 /* a datagram of a port that nobody asked for */
#define DROP_TLS_UNJOINED 6 /* clear text of a TLS session whose socket is not known */

#define NO_PAYLOAD_NO_BUFFER 0 /* sendfile, splice, or a call whose buffer is not known */
#define NO_PAYLOAD_IO_URING 1 /* io_uring: the buffer was not found */
#define NO_PAYLOAD_FAULT 2 /* the buffer was not in memory, or not readable */
#define NO_PAYLOAD_COMPAT 3 /* a 32-bit process */
#define NO_PAYLOAD_BUDGET 4 /* more bytes in one message than capture_bytes */

#endif
