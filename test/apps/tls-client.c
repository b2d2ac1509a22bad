/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS client on OpenSSL: tls-client PORT plain|ex|memory ORDERS. Asks on one connection for each
 * path that it reads from the file or pipe ORDERS. plain: SSL_read and SSL_write on the socket; ex:
 * SSL_read_ex and SSL_write_ex; memory: two BIOs in memory, as event loops have them.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL *ssl;
static int fd;
static const char *mode;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void flush_memory(void)
{
	char bytes[32768];
	int count = BIO_read(SSL_get_wbio(ssl), bytes, sizeof(bytes));

	if (count > 0 && write(fd, bytes, count) != count)
		fail("write");
}

static void fill_memory(void)
{
	char bytes[32768];
	ssize_t count = read(fd, bytes, sizeof(bytes));

	if (count <= 0)
		fail("read");
	BIO_write(SSL_get_rbio(ssl), bytes, (int)count);
}

static void shake_hands(void)
{
	while (SSL_do_handshake(ssl) != 1) {
		if (strcmp(mode, "memory"))
			fail("handshake");
		flush_memory();
		fill_memory();
	}
	if (!strcmp(mode, "memory"))
		flush_memory();
}

static void send_text(const char *text, size_t length)
{
	size_t done = 0;

	if (!strcmp(mode, "ex")) {
		if (!SSL_write_ex(ssl, text, length, &done) || done != length)
			fail("SSL_write_ex");
		return;
	}
	if (SSL_write(ssl, text, (int)length) != (int)length)
		fail("SSL_write");
	if (!strcmp(mode, "memory"))
		flush_memory();
}

static size_t receive(char *into, size_t room)
{
	size_t count = 0;
	int result;

	if (!strcmp(mode, "ex")) {
		if (!SSL_read_ex(ssl, into, room, &count))
			fail("SSL_read_ex");
		return count;
	}
	while ((result = SSL_read(ssl, into, (int)room)) <= 0) {
		if (strcmp(mode, "memory") || SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ)
			fail("SSL_read");
		fill_memory();
	}
	return result;
}

/* Until the head is whole and as much body as it says. */
static void read_response(void)
{
	char text[65536];
	size_t count = 0;
	char *body, *length;

	for (;;) {
		count += receive(text + count, sizeof(text) - 1 - count);
		text[count] = 0;
		body = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		if (body && length && text + count >= body + 4 + atoi(length + 16))
			return;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char line[1024], request[2048];
	FILE *orders;

	if (argc != 4 || !context)
		fail("usage: tls-client PORT plain|ex|memory ORDERS");
	mode = argv[2];
	puts("waiting");
	fflush(stdout);
	orders = fopen(argv[3], "r");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_port = htons(atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!orders || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	ssl = SSL_new(context);
	if (!strcmp(mode, "memory"))
		SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	else
		SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	shake_hands();
	while (fgets(line, sizeof(line), orders)) {
		line[strcspn(line, "\n")] = 0;
		send_text(request, snprintf(request, sizeof(request),
					    "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", line));
		read_response();
	}
	return 0;
}
