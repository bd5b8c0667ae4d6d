/* SPDX-License-Identifier: Apache-2.0 */
/* skep-apiserver: flags, signals, the loop. */
#include <signal.h>
#include <stdio.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "apiserver.h"
#include "store_tool.h"

#define SHUTDOWN_MS 5000

static struct loop *loop;
static struct apiserver *server;
static bool stopping;

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void on_deadline(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static struct loop_timer deadline = { .fn = on_deadline };

static void on_signal(struct loop_signal *s, int sig)
{
	(void)s;
	if (stopping) {
		loop_stop(loop);
		return;
	}
	stopping = true;
	log_info("signal %d: stopping", sig);
	(void)loop_timer_set(loop, &deadline, SHUTDOWN_MS);
	apiserver_shutdown(server, stop, NULL);
}

int main(int argc, char **argv)
{
	struct loop_signal signals = { .fn = on_signal };
	const int sigs[] = { SIGTERM, SIGINT };
	struct apiserver_config config;
	struct err err = ERR_INIT;
	int r;

	if (argc > 1 && streq(argv[1], "store"))
		return store_tool_main(argc - 1, argv + 1);
	log_init("skep-apiserver");
	r = apiserver_config_parse(argc, argv, &config, &err);
	if (r > 0)
		return 0;
	if (r < 0) {
		log_error("%s", err.msg);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	if (!loop || loop_signal_add(loop, &signals, sigs, 2) < 0) {
		log_error("event loop: %m");
		return 1;
	}
	r = apiserver_new(loop, &config, &server, &err);
	if (r < 0) {
		log_error("%s", err.msg);
		return 1;
	}
	r = loop_run(loop);
	apiserver_free(server);
	loop_signal_del(&signals);
	loop_free(loop);
	return r < 0;
}
