/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST of a review to a webhook, by URL or by the service it is behind; connections are kept for the next one. Used by
 * admission; nothing in it is about admission.
 */
#ifndef SKEP_APISERVER_WEBHOOK_CLIENT_H
#define SKEP_APISERVER_WEBHOOK_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"

struct apiserver;
struct hook_call;

struct hook_result {
	int status; /* 0: no answer, see error */
	const char *body;
	size_t len;
	const char *error;
	bool timed_out;
};
/* res NULL: the server ends. */
typedef void hook_done_fn(void *arg, const struct hook_result *res);

/*
 * client_config: WebhookClientConfig. url gets the address for messages. fn is called once, from the loop, unless this
 * returned an error.
 */
int hook_call_start(struct apiserver *s, const json_t *client_config, const char *body, int64_t timeout_s,
		    size_t max_answer, char *url, size_t url_size, hook_done_fn *fn, void *arg, struct err *err);
void hook_clients_done(struct apiserver *s); /* ends the calls under way, with res NULL */

#endif
