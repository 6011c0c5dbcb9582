#!/usr/bin/env python3
"""Listens on a free port of 127.0.0.1, told on standard error, and gives each connection an sshd of its own.

usage: sshd.py CONFIGURATION LOG
"""

import signal
import socket
import subprocess
import sys

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], file=sys.stderr, flush=True)
while True:
    connection, _ = server.accept()
    command = ["/usr/sbin/sshd", "-i", "-f", sys.argv[1], "-E", sys.argv[2]]
    subprocess.Popen(command, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL)
    connection.close()
