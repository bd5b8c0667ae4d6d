/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the cluster tests, static, for a bare image. Without arguments a server: answers every datagram on port 5300,
 * IPv4 and IPv6, with its host's name. With ADDRESS PORT a client: asks twice, by a connected socket and by an
 * unconnected one, which also checks that the answer comes from the address asked; prints the answers.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int serve(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(5300) }, from;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;
	char name[256], in[512];
	socklen_t len;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || gethostname(name, sizeof(name)) < 0)
		return 1;
	for (;;) {
		len = sizeof(from);
		if (recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len) < 0)
			return 1;
		if (sendto(fd, name, strlen(name), 0, (struct sockaddr *)&from, len) < 0)
			return 1;
	}
}

static int ask(const struct sockaddr *to, socklen_t len, int connected)
{
	struct timeval tv = { .tv_sec = 3 };
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	int fd = socket(to->sa_family, SOCK_DGRAM, 0);
	char in[512];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connected ? connect(fd, to, len) < 0 || send(fd, "x", 1, 0) < 0 : sendto(fd, "x", 1, 0, to, len) < 0) {
		perror("send");
		return 1;
	}
	n = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
	if (n < 0) {
		perror("receive");
		return 1;
	}
	if (to->sa_family == AF_INET
		    ? memcmp(&((struct sockaddr_in *)&from)->sin_addr, &((struct sockaddr_in *)to)->sin_addr, 4)
		    : memcmp(&((struct sockaddr_in6 *)&from)->sin6_addr, &((struct sockaddr_in6 *)to)->sin6_addr, 16)) {
		fputs("the answer comes from another address\n", stderr);
		return 1;
	}
	printf("%.*s\n", (int)n, in);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6 };
	int v4;

	if (argc != 3)
		return serve();
	a.sin_port = b.sin6_port = htons((unsigned short)atoi(argv[2]));
	v4 = inet_pton(AF_INET, argv[1], &a.sin_addr) == 1;
	if (!v4 && inet_pton(AF_INET6, argv[1], &b.sin6_addr) != 1)
		return 2;
	for (int connected = 0; connected < 2; connected++)
		if (ask(v4 ? (struct sockaddr *)&a : (struct sockaddr *)&b, v4 ? sizeof(a) : sizeof(b), connected))
			return 1;
	return 0;
}
