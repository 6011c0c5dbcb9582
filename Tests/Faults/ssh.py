#!/usr/bin/env python3
"""Stands in for ssh: takes its arguments, runs the command here, and can cut the connection.

SSH_LOG  file to which a line is appended for each run: bytes from the other end, then the command
SSH_CUT  end the connection after so many bytes from the other end
SSH_CUT_UP  end it after so many bytes to the other end
"""

import os
import select
import subprocess
import sys


def write(descriptor, piece):
    while piece:
        # casync gives us pipes that do not block.
        select.select([], [descriptor], [])
        try:
            piece = piece[os.write(descriptor, piece):]
        except BlockingIOError:
            pass


words = sys.argv[1:]
while words and words[0].startswith("-"):
    words = words[2:]
# As ssh does it: one line, split again by a shell.
command = " ".join(words[1:])
cut = int(os.environ.get("SSH_CUT", 1 << 62))
cut_up = int(os.environ.get("SSH_CUT_UP", 1 << 62))
count = up = 0
child = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
output = child.stdout.fileno()
sources = [0, output]
while count < cut and up < cut_up:
    ready = select.select(sources, [], [])[0]
    try:
        if 0 in ready:
            piece = os.read(0, min(65536, cut_up - up))
            if piece:
                up += len(piece)
                write(child.stdin.fileno(), piece)
            else:
                sources.remove(0)
                child.stdin.close()
    except BlockingIOError:
        pass
    except BrokenPipeError:
        sources.remove(0)
    try:
        if output in ready:
            piece = os.read(output, min(65536, cut - count))
            if not piece:
                break
            count += len(piece)
            write(1, piece)
    except BrokenPipeError:
        break
# Before the end of the other end, for which nobody may have the patience.
if "SSH_LOG" in os.environ:
    with open(os.environ["SSH_LOG"], "a") as log:
        log.write(f"{count} {command}\n")
child.stdin.close()
child.stdout.close()
status = child.wait()
if count >= cut or up >= cut_up:
    print("Connection to host closed by remote host.", file=sys.stderr)
    status = 255
sys.exit(status if status >= 0 else 128 - status)
