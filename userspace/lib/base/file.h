/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and directories, with errors that name the path. */
#ifndef SKEP_BASE_FILE_H
#define SKEP_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "err.h"

/* Reads at most max bytes (-EFBIG beyond). *ret_data is NUL-terminated and the caller's (free()). */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err);
/*
 * Writes a temporary file beside path, fsyncs it, renames it over path and fsyncs the directory: old or new, never
 * half.
 */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);
/* Plain overwrite without durability: for /proc, /sys and sockets' side files. */
int file_write(const char *path, const char *text, struct err *err);
/* mkdir -p; existing directories are fine. */
int dir_make(const char *path, mode_t mode, struct err *err);
/* rm -r without following links and without crossing mounts; a missing path is fine. */
int dir_remove(const char *path, struct err *err);

#endif
