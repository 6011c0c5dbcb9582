#!/usr/bin/env python3
"""A proxy in front of a web server that lets things go wrong; prints its port on standard error, then a line for each request.

    http-proxy.py UPSTREAM_PORT [every=N] [faults=reset,truncate,busy,garbage] [delay=MS] [cut=BYTES] [die=N]
                  [tls=CERTIFICATE,KEY]

every=N     each Nth request goes wrong, by the faults in turn
delay=MS    each answer comes so much later
cut=BYTES   each body ends after so many bytes, with a reset
die=N       after N requests nothing is answered any more for 3 s
tls=C,K     clients speak TLS, the server does not
"""
import asyncio
import itertools
import socket
import ssl
import struct
import sys

port = int(sys.argv[1])
options = dict(word.split("=", 1) for word in sys.argv[2:])
every = int(options.get("every", 0))
delay = int(options.get("delay", 0)) / 1000
cut = int(options.get("cut", 0))
die = int(options.get("die", 0))
faults = itertools.cycle(options.get("faults", "reset,truncate,busy,garbage").split(","))
count = 0
dead_until = 0.0


async def ask(head, sent):
    """The whole answer of the server, split into its head and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
    writer.write(b"\r\n".join(lines + [b"Connection: close", b"", b""]) + sent)
    answer = await reader.read()
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    lines = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines) + b"\r\n\r\n", body


def reset(writer):
    """Ends the connection as a crash would."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def body_of(head, reader, writer):
    """What a client sends after the head of its request."""
    fields = [line.lower().partition(b":") for line in head.split(b"\r\n")[1:]]
    if any(name == b"expect" for name, _, _ in fields):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await reader.readexactly(sum(int(value) for name, _, value in fields if name == b"content-length"))


async def answer(head, sent, writer):
    """Answers one request; false when the connection is done for."""
    global count, dead_until
    count += 1
    loop = asyncio.get_running_loop()
    if die and count == die:
        dead_until = loop.time() + 3
    if loop.time() < dead_until:
        reset(writer)
        return False
    fault = next(faults) if every and count % every == 0 else None
    print(head.split(b"\r\n", 1)[0].decode(), fault or "", file=sys.stderr, flush=True)
    if delay:
        await asyncio.sleep(delay)
    if fault == "reset":
        reset(writer)
        return False
    if fault == "busy":
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nbusy\n")
        await writer.drain()
        return True
    top, body = await ask(head, sent)
    if fault == "garbage":
        body = bytes(len(body))
    is_cut = 0 < cut < len(body)
    if fault == "truncate" or is_cut:
        writer.write(top + body[: cut if is_cut else len(body) // 2])
        await writer.drain()
        # What was sent is to arrive before the end.
        await asyncio.sleep(0.01)
        writer.close()
        return False
    writer.write(top + body)
    await writer.drain()
    return True


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            sent = await body_of(head, reader, writer)
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
            if not await answer(head, sent, writer):
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    secure = None
    if "tls" in options:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(*options["tls"].split(","))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256, ssl=secure)
    print(server.sockets[0].getsockname()[1], file=sys.stderr, flush=True)
    await server.serve_forever()


asyncio.run(main())
