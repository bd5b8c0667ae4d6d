#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py TEXT COMMAND...: runs the command on a terminal of its own, with the text typed and a newline after it.

What the terminal shows goes to standard output, the exit status is the command's; 124 is a command that did not end,
77 a machine that gives no terminals. script(1) will not do: it wants $SHELL, and forgets what is said just before the end.
"""
import fcntl
import os
import pty
import signal
import struct
import sys
import termios

LIMIT_S = 60


def become_owner(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    if slave > 2:
        os.close(slave)


def main():
    typed, command = sys.argv[1], sys.argv[2:]
    try:
        master, slave = pty.openpty()
    except OSError as e:
        print(f"terminal.py: no terminal can be made here: {e}", file=sys.stderr)
        return 77
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = os.fork()
    if child == 0:
        os.close(master)
        become_owner(slave)
        try:
            os.execvp(command[0], command)
        except OSError as e:
            print(f"terminal.py: {command[0]}: {e}")
            os._exit(127)
    os.close(slave)

    def over(*_):
        os.kill(child, signal.SIGKILL)
        print(f"terminal.py: not ended after {LIMIT_S} s", file=sys.stderr)
        os._exit(124)

    signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT_S)
    os.write(master, typed.encode() + b"\n")
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: nobody has the terminal any more
            break
        if not data:
            break
        os.write(sys.stdout.fileno(), data)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


sys.exit(main())
