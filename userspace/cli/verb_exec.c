/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep exec: a command in a container over WebSocket, Kubernetes' v5.channel.k8s.io: a channel byte before each
 * message (0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size, 255 closes the channel it names). The
 * exit status becomes ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cli.h"
#include "io/ws.h"

enum { CH_STDIN, CH_STDOUT, CH_STDERR, CH_ERROR, CH_RESIZE, CH_CLOSE = 255 };
enum { HIGH_WATER = 1 << 20, LOW_WATER = 256 << 10 };

struct exec {
	struct cli cli;
	struct http_upgrade *up;
	struct ws *ws;
	bool stdin_, tty, done;
	int exit_code;
	struct loop_io in;
	struct loop_timer file;
	struct loop_signal winch;
	struct termios saved;
	bool raw;
};

static void restore_terminal(struct exec *x)
{
	if (x->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &x->saved);
	x->raw = false;
}

static void finish(struct exec *x, int code)
{
	x->done = true;
	x->exit_code = code;
}

static void send_size(struct exec *x)
{
	struct winsize w;
	char text[64];
	int n;

	if (!x->tty || ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
		return;
	n = snprintf(text, sizeof(text), "{\"Width\":%u,\"Height\":%u}", w.ws_col, w.ws_row);
	ws_send_channel(x->ws, CH_RESIZE, text, (size_t)n);
}

static void resized(struct loop_signal *s, int sig)
{
	(void)sig;
	if (((struct exec *)s->arg)->ws)
		send_size(s->arg);
}

/* Standard input is read while there is room for it on the way. */
static void watch_input(struct exec *x);

static void unwatch_input(struct exec *x)
{
	loop_io_del(&x->in);
	loop_timer_cancel(&x->file);
}

static void drained(struct http_upgrade *u, void *arg)
{
	(void)u;
	watch_input(arg);
}

static void input(struct loop_io *io, uint32_t events)
{
	static const unsigned char close_stdin = CH_STDIN;
	struct exec *x = io->arg;
	char buf[16384];
	ssize_t n;

	(void)events;
	n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n > 0) {
		ws_send_channel(x->ws, CH_STDIN, buf, (size_t)n);
	} else if (!n || (errno != EAGAIN && errno != EINTR)) {
		unwatch_input(x);
		ws_send_channel(x->ws, CH_CLOSE, &close_stdin, 1);
		return;
	}
	if (http_upgrade_pending(x->up) > HIGH_WATER) {
		unwatch_input(x);
		http_upgrade_on_drain(x->up, LOW_WATER, drained);
	}
}

/*
 * A regular file cannot be watched by epoll: it is always ready, so it is read piece by piece, between other events.
 */
static void read_file(struct loop_timer *t)
{
	struct exec *x = t->arg;

	if (x->done || !x->ws)
		return;
	(void)loop_timer_set(x->cli.loop, &x->file, 0);
	input(&x->in, EPOLLIN);
}

static void watch_input(struct exec *x)
{
	x->in.fn = input;
	x->in.arg = x;
	x->file.fn = read_file;
	x->file.arg = x;
	if (loop_io_add(x->cli.loop, &x->in, STDIN_FILENO, EPOLLIN) < 0)
		(void)loop_timer_set(x->cli.loop, &x->file, 0);
}

static void status_message(struct exec *x, const char *text, size_t len)
{
	json_t *status = NULL, *cause;
	int64_t code = 0;
	size_t i;

	if (api_json_parse(text, len, &status, NULL, NULL) < 0 || streq(api_get_str(status, "status"), "Success")) {
		json_decref(status);
		finish(x, 0);
		return;
	}
	json_array_foreach (api_get(status, "details.causes"), i, cause)
		if (streq(api_get_str(cause, "reason"), "ExitCode"))
			str_to_i64(api_get_str(cause, "message") ?: "1", 0, 255, &code);
	if (!code) {
		restore_terminal(x);
		cli_error("%s", api_get_str(status, "message") ?: "the command could not be run");
	}
	json_decref(status);
	finish(x, code ? (int)code : CLI_FAILED);
}

static void write_out(struct exec *x, int fd, const unsigned char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EAGAIN) /* whoever gave us the descriptor made it non-blocking */
			(void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		if (w < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (w < 0) {
			finish(x, CLI_FAILED);
			return;
		}
		p += w;
		n -= (size_t)w;
	}
}

static void on_message(struct ws *ws, void *arg, const void *data, size_t len, bool binary)
{
	const unsigned char *p = data;
	struct exec *x = arg;

	(void)ws;
	(void)binary;
	if (!len)
		return;
	if (p[0] == CH_STDOUT || p[0] == CH_STDERR)
		write_out(x, p[0] == CH_STDOUT ? STDOUT_FILENO : STDERR_FILENO, p + 1, len - 1);
	else if (p[0] == CH_ERROR)
		status_message(x, (const char *)p + 1, len - 1);
}

static void on_ws_close(struct ws *ws, void *arg, int code)
{
	struct exec *x = arg;

	(void)ws;
	if (x->done)
		return;
	restore_terminal(x);
	cli_error("the connection ended before the command did (WebSocket close code %d)", code);
	finish(x, CLI_FAILED);
}

static void ws_write(struct ws *ws, void *arg, const void *data, size_t len)
{
	(void)ws;
	(void)http_upgrade_write(((struct exec *)arg)->up, data, len);
}

static void opened(struct http_upgrade *u, void *arg, const char *head)
{
	static const struct ws_ops ops = { on_message, on_ws_close, ws_write };
	struct exec *x = arg;
	struct termios t;

	(void)u;
	(void)head;
	x->ws = ws_new(true, 16 << 20, &ops, x);
	if (!x->ws) {
		finish(x, CLI_FAILED);
		return;
	}
	if (x->tty && isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &x->saved)) {
		t = x->saved;
		cfmakeraw(&t);
		x->raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
		send_size(x);
	}
	if (x->stdin_)
		watch_input(x);
}

static void received(struct http_upgrade *u, void *arg, const void *data, size_t len)
{
	struct exec *x = arg;

	(void)u;
	if (x->ws)
		ws_feed(x->ws, data, len);
}

static void closed(struct http_upgrade *u, void *arg, int status, const char *text)
{
	struct exec *x = arg;
	json_t *obj = NULL;

	(void)u;
	x->up = NULL;
	unwatch_input(x);
	if (x->done)
		return;
	restore_terminal(x);
	if (text && *text == '{')
		(void)api_json_parse(text, strlen(text), &obj, NULL, NULL);
	cli_error("%s", (obj ? api_get_str(obj, "message") : NULL)
				?: text && *text ? text
						 : "the connection was closed");
	json_decref(obj);
	(void)status;
	finish(x, CLI_FAILED);
}

static int start(struct exec *x, const char *pod, const char *container, char **command, struct err *err)
{
	static const struct http_upgrade_ops ops = { opened, received, closed };
	cleanup(strbuf_done) struct strbuf path = STRBUF_INIT;
	cleanup(free) char *base = kube_path(&api_kind_pod, x->cli.namespace_, pod, "exec");
	cleanup(free) char *key64 = NULL;
	unsigned char key[16];
	char key_header[64];
	const char *headers[] = { "Upgrade: websocket",
				  "Connection: Upgrade",
				  "Sec-WebSocket-Version: 13",
				  key_header,
				  "Sec-WebSocket-Protocol: v5.channel.k8s.io",
				  NULL };

	if (getrandom(key, sizeof(key), 0) != sizeof(key) || !(key64 = str_base64(key, sizeof(key))) || !base)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(key_header, sizeof(key_header), "Sec-WebSocket-Key: %s", key64);
	strbuf_addf(&path, "%s?stdout=true&stdin=%s&tty=%s&stderr=%s", base, x->stdin_ ? "true" : "false",
		    x->tty ? "true" : "false", x->tty ? "false" : "true");
	if (container) {
		cleanup(free) char *esc = http_escape(container);

		strbuf_addf(&path, "&container=%s", esc);
	}
	for (; *command; command++) {
		cleanup(free) char *esc = http_escape(*command);

		strbuf_addf(&path, "&command=%s", esc);
	}
	x->up = http_upgrade_start(kube_http(x->cli.kube), "GET", path.buf, headers, &ops, x, err);
	return x->up ? 0 : -EIO;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	static const int sigs[] = { SIGWINCH };
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	const char *container = NULL, *pod;
	struct exec x = { 0 };
	const struct cli_opt opts[] = {
		{ 'i', "stdin", CLI_FLAG, &x.stdin_, NULL, "pass standard input on" },
		{ 't', "tty", CLI_FLAG, &x.tty, NULL, "give the command a terminal" },
		{ 'c', "container", CLI_STRING, &container, "NAME", "which container (default: the first)" },
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	int n, dashes;

	n = cli_parse(verb, argc, argv, opts, &dashes);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (dashes != 2 || n < 2) {
		cli_error("needed: skep exec POD -- COMMAND [ARGUMENT...]");
		return CLI_USAGE;
	}
	pod = str_starts(argv[1], "pod/") ? argv[1] + 4 : argv[1];
	if (x.tty && !isatty(STDIN_FILENO)) {
		fputs("warning: standard input is not a terminal; going on without -t\n", stderr);
		x.tty = false;
	}
	if (cli_open(&x.cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	x.winch.fn = resized;
	x.winch.arg = &x;
	(void)loop_signal_add(x.cli.loop, &x.winch, sigs, 1);
	if (start(&x, pod, container, argv + 2, &err) < 0) {
		cli_error("%s", err.msg);
		finish(&x, CLI_FAILED);
	}
	while (!x.done)
		if (loop_run_once(x.cli.loop, -1) < 0)
			finish(&x, CLI_FAILED);
	restore_terminal(&x);
	unwatch_input(&x);
	loop_signal_del(&x.winch);
	if (x.up)
		http_upgrade_close(x.up);
	ws_free(x.ws);
	cli_close(&x.cli);
	return x.exit_code;
}

const struct cli_verb cli_exec = {
	.name = "exec",
	.summary = "Run a command in a container",
	.usage = "exec [-it] POD [-c CONTAINER] -- COMMAND [ARGUMENT...]",
	.details = "The exit status is the command's. Example: skep exec -it client -- sh",
	.run = run,
};
