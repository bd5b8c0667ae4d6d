/* SPDX-License-Identifier: Apache-2.0 */
/* Options and help of all verbs: see cli.h. */
#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "cli.h"

void cli_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cli_help(const struct cli_verb *verb, const struct cli_opt *opts, FILE *out)
{
	fprintf(out, "Usage: skep %s\n\n%s.\n", verb->usage, verb->summary);
	if (verb->details)
		fprintf(out, "\n%s\n", verb->details);
	if (opts && opts->name)
		fputs("\nOptions:\n", out);
	for (; opts && opts->name; opts++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", opts->letter ? '-' : ' ',
			 opts->letter ? opts->letter : ' ', opts->letter ? "," : " ", opts->name,
			 opts->arg ? (opts->type == CLI_OPTIONAL ? "[=" : "=") : "", opts->arg ? opts->arg : "");
		fprintf(out, "  %s%s%*s %s\n", left, opts->arg && opts->type == CLI_OPTIONAL ? "]" : "",
			(int)(30 > strlen(left) ? 30 - strlen(left) : 0), "", opts->help);
	}
	fputs("  -h, --help                     this text\n", out);
}

static int set_opt(const struct cli_opt *o, const char *shown, const char *value)
{
	struct cli_list *list;

	switch (o->type) {
	case CLI_FLAG:
		if (value && !streq(value, "true") && !streq(value, "false")) {
			cli_error("%s takes true or false, not '%s'", shown, value);
			return -1;
		}
		*(bool *)o->var = !value || streq(value, "true");
		return 0;
	case CLI_STRING:
	case CLI_OPTIONAL:
		*(const char **)o->var = value ? value : "";
		return 0;
	case CLI_INT:
		if (!str_to_i64(value, INT64_MIN, INT64_MAX, o->var))
			return 0;
		cli_error("%s takes a whole number, not '%s'", shown, value);
		return -1;
	case CLI_DURATION:
		if (!str_to_duration_ms(value, o->var))
			return 0;
		cli_error("%s takes a duration such as 30s or 5m, not '%s'", shown, value);
		return -1;
	case CLI_LIST:
		list = o->var;
		if (list->n == sizeof(list->v) / sizeof(list->v[0])) {
			cli_error("%s is given too often", shown);
			return -1;
		}
		list->v[list->n++] = value;
		return 0;
	}
	return -1;
}

static const struct cli_opt *find_opt(const struct cli_opt *opts, const char *name, size_t len, char letter)
{
	for (; opts->name; opts++)
		if (name ? strlen(opts->name) == len && !strncmp(opts->name, name, len)
			 : letter && opts->letter == letter)
			return opts;
	return NULL;
}

int cli_parse(const struct cli_verb *verb, int argc, char **argv, const struct cli_opt *opts, int *ret_dashdash)
{
	int n = 0, i;

	if (ret_dashdash)
		*ret_dashdash = -1;
	for (i = 1; i < argc; i++) {
		const struct cli_opt *o;
		const char *a = argv[i], *value = NULL, *eq;
		char shown[80];

		if (streq(a, "--")) {
			if (ret_dashdash)
				*ret_dashdash = n + 1;
			for (i++; i < argc; i++)
				argv[++n] = argv[i];
			break;
		}
		if (a[0] != '-' || !a[1]) {
			argv[++n] = argv[i];
			continue;
		}
		if (streq(a, "-h") || streq(a, "--help")) {
			cli_help(verb, opts, stdout);
			return -2;
		}
		if (a[1] == '-') {
			eq = strchr(a, '=');
			o = find_opt(opts, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2), 0);
			value = eq ? eq + 1 : NULL;
			snprintf(shown, sizeof(shown), "%.*s", (int)(eq ? eq - a : (long)strlen(a)), a);
		} else {
			/* -it is -i -t; -nvalue is -n value */
			o = find_opt(opts, NULL, 0, a[1]);
			snprintf(shown, sizeof(shown), "-%c", a[1]);
			while (o && o->type == CLI_FLAG && a[2] && a[2] != '=') {
				set_opt(o, shown, NULL);
				a++;
				o = find_opt(opts, NULL, 0, a[1]);
				snprintf(shown, sizeof(shown), "-%c", a[1]);
			}
			if (o && a[2])
				value = a[2] == '=' ? a + 3 : a + 2;
		}
		if (!o) {
			cli_error("unknown option %s; see `skep %s --help`", shown, verb->name);
			return -1;
		}
		if (!value && o->type != CLI_FLAG && o->type != CLI_OPTIONAL) {
			if (i + 1 == argc) {
				cli_error("%s needs a value", shown);
				return -1;
			}
			value = argv[++i];
		}
		if (set_opt(o, shown, value) < 0)
			return -1;
	}
	argv[n + 1 < argc ? n + 1 : argc] = NULL;
	return n;
}
