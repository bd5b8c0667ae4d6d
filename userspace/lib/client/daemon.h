/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of the control plane that acts while it leads: connection to the API server, health and metrics, leader
 * election, and an end by SIGTERM or SIGINT that hands the lease over.
 */
#ifndef SKEP_CLIENT_DAEMON_H
#define SKEP_CLIENT_DAEMON_H

#include <getopt.h>

#include "kube.h"

struct daemon {
	struct loop *loop;
	struct kube *kube;
	struct kubeconfig kubeconfig;
	void *arg;
};

struct daemon_config {
	const char *name;	    /* "skep-scheduler": of the program, its lease and its user agent */
	const char *kubeconfig;	    /* file; needed */
	const char *metrics_listen; /* IP:PORT; NULL: nowhere */
	bool no_election;
	int (*prepare)(struct daemon *d, struct err *err); /* before it may act; NULL: nothing to do */
	int (*lead)(struct daemon *d, struct err *err);	   /* it acts from now on; < 0 ends the program */
	const char *(*ready)(const struct daemon *d);	   /* as metrics_handle()'s */
	void (*done)(struct daemon *d);			   /* frees what prepare and lead have made */
	void *arg;
};

/* Options that each of them has: for a table of struct option, its values below those of letters. */
enum daemon_option { DAEMON_KUBECONFIG = 1, DAEMON_METRICS_LISTEN, DAEMON_LEADER_ELECT };
#define DAEMON_OPTIONS                                                                                                 \
	{ "kubeconfig", required_argument, NULL, DAEMON_KUBECONFIG },                                                  \
		{ "metrics-listen", required_argument, NULL, DAEMON_METRICS_LISTEN },                                  \
	{                                                                                                              \
		"leader-elect", required_argument, NULL, DAEMON_LEADER_ELECT                                           \
	}
/* Takes it if it is one of them. */
bool daemon_option(struct daemon_config *config, int option, const char *value);
/* After the options: false, and told, if one is missing or something is left over. */
bool daemon_options_done(const struct daemon_config *config, int argc, char **argv);

/* Until a signal or the loss of the lease; the program's exit status. */
int daemon_run(const struct daemon_config *config);

#endif
