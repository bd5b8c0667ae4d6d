/* SPDX-License-Identifier: Apache-2.0 */
/* A server for the cluster tests: answers every datagram on port 5300, IPv4 and IPv6, with its host's name. Static, for a bare image. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
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
