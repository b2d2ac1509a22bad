// SPDX-License-Identifier: Apache-2.0
/*
 * An ordinary C service: one thread waits for readable connections and queues them for a pool of
 * threads, which read a request, ask each --downstream and --parallel in turn, and answer.
 *
 *	pool --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 32
#define QUEUE 4096
#define SERVERS 8
#define KEPT 1024

struct server {
	struct sockaddr_in address;
	char prefix[64];
	pthread_mutex_t mutex;
	pthread_cond_t freed;
	int kept[KEPT], count, made;
};

static struct server servers[SERVERS];
static int server_count, connections_max = KEPT, poller;
static int queue[QUEUE], queue_head, queue_tail;
static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queued = PTHREAD_COND_INITIALIZER;

static void add_server(const char *url)
{
	struct server *server = &servers[server_count++];
	char host[32];
	int port;

	if (server_count > SERVERS || sscanf(url, "http://%31[^:]:%d%63s", host, &port, server->prefix) != 3)
		exit(2);
	server->address.sin_family = AF_INET;
	server->address.sin_port = htons(port);
	inet_pton(AF_INET, host, &server->address.sin_addr);
	pthread_mutex_init(&server->mutex, NULL);
	pthread_cond_init(&server->freed, NULL);
}

static int take(struct server *server)
{
	int fd = -1, yes = 1;

	pthread_mutex_lock(&server->mutex);
	while (!server->count && server->made >= connections_max)
		pthread_cond_wait(&server->freed, &server->mutex);
	if (server->count)
		fd = server->kept[--server->count];
	else
		server->made++;
	pthread_mutex_unlock(&server->mutex);
	if (fd >= 0)
		return fd;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(fd, (struct sockaddr *)&server->address, sizeof(server->address)))
		exit(3);
	return fd;
}

static void give(struct server *server, int fd)
{
	pthread_mutex_lock(&server->mutex);
	server->kept[server->count++] = fd;
	pthread_cond_signal(&server->freed);
	pthread_mutex_unlock(&server->mutex);
}

/* One message with the bytes that its content-length says; the length, 0 at the end. */
static int read_message(int fd, char *to, int size)
{
	int length = 0, wanted = -1;

	while (length != wanted) {
		int got = read(fd, to + length, size - 1 - length);
		char *end, *field;

		if (got <= 0)
			return 0;
		length += got;
		to[length] = 0;
		end = strstr(to, "\r\n\r\n");
		if (!end)
			continue;
		field = strcasestr(to, "content-length:");
		wanted = end + 4 - to + (field && field < end ? atoi(field + 15) : 0);
	}
	return length;
}

static void ask(struct server *server, const char *id)
{
	char message[4096];
	int fd = take(server);
	int length = snprintf(message, sizeof(message), "GET %s/%s HTTP/1.1\r\nHost: x\r\n\r\n",
			      server->prefix, id);

	if (write(fd, message, length) != length || !read_message(fd, message, sizeof(message)))
		exit(4);
	give(server, fd);
}

static void *work(void *unused)
{
	for (;;) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT };
		char message[4096], id[32] = "";
		int fd, length;

		pthread_mutex_lock(&queue_mutex);
		while (queue_head == queue_tail)
			pthread_cond_wait(&queued, &queue_mutex);
		fd = queue[queue_tail++ % QUEUE];
		pthread_mutex_unlock(&queue_mutex);
		if (!read_message(fd, message, sizeof(message)) ||
		    sscanf(message, "GET /%*[^/]/%31[0-9]", id) != 1) {
			close(fd);
			continue;
		}
		for (int at = 0; at < server_count; at++)
			ask(&servers[at], id);
		length = snprintf(message, sizeof(message),
				  "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s\n", strlen(id) + 1, id);
		if (write(fd, message, length) != length) {
			close(fd);
			continue;
		}
		event.data.fd = fd;
		epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener, yes = 1, port = 0;
	char host[32] = "127.0.0.1";

	for (int at = 1; at + 1 < argc; at += 2) {
		if (!strcmp(argv[at], "--listen"))
			sscanf(argv[at + 1], "%31[^:]:%d", host, &port);
		else if (!strcmp(argv[at], "--connections"))
			connections_max = atoi(argv[at + 1]) ? atoi(argv[at + 1]) : KEPT;
		else
			add_server(argv[at + 1]);
	}
	inet_pton(AF_INET, host, &address.sin_addr);
	address.sin_port = htons(port);
	poller = epoll_create1(0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 512))
		return 1;
	for (int at = 0; at < THREADS; at++) {
		pthread_t thread;

		pthread_create(&thread, NULL, work, NULL);
	}
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
	epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		if (epoll_wait(poller, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == listener) {
			event.data.fd = accept(listener, NULL, NULL);
			setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
			event.events = EPOLLIN | EPOLLONESHOT;
			epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
			continue;
		}
		pthread_mutex_lock(&queue_mutex);
		queue[queue_head++ % QUEUE] = event.data.fd;
		pthread_cond_signal(&queued);
		pthread_mutex_unlock(&queue_mutex);
	}
}
