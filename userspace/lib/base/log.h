/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on stderr: RFC 3339 time, level, program, text. systemd and `skep up` capture stderr. Library
 * code logs at debug only; a program logs once, where it gives up or changes what a person can see. Secrets never go
 * into a log.
 */
#ifndef SKEP_BASE_LOG_H
#define SKEP_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* program: borrowed for the life of the process. The environment's SKEP_LOG (error|warn|info|debug) sets the level. */
void log_init(const char *program);
void log_set_level(enum log_level level);
int log_level_parse(const char *s, enum log_level *ret_level);
int log_enabled(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (log_enabled(LOG_DEBUG))                                                                            \
			log_write(LOG_DEBUG, __VA_ARGS__);                                                             \
	} while (0)

#endif
