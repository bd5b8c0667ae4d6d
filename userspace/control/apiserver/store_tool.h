/* SPDX-License-Identifier: Apache-2.0 */
/* `skep-apiserver store ...`: see store_tool.c. */
#ifndef SKEP_APISERVER_STORE_TOOL_H
#define SKEP_APISERVER_STORE_TOOL_H

/* argv[0] is "store"; the exit status: 0 done, 1 failed, 2 wrong usage, both said on stderr. */
int store_tool_main(int argc, char **argv);

#endif
