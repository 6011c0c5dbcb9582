#!/usr/bin/env python3
"""delay-proxy.py HOST PORT MILLISECONDS: forward TCP connections to HOST:PORT, every byte half of the time later in
each direction; prints the port at which it listens. For kernels without netem."""
import asyncio
import sys


async def carry(reader, writer, delay):
    """Read on while what was read waits for its time, so that the delay costs no throughput."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue(maxsize=256)

    async def deliver():
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    delivery = asyncio.create_task(deliver())
    try:
        data = b" "
        while data:
            data = await reader.read(65536)
            await queue.put((loop.time() + delay, data))
        await delivery
    except ConnectionError:
        delivery.cancel()
        writer.close()


async def main(host, port, milliseconds):
    async def connect(reader, writer):
        there = await asyncio.open_connection(host, int(port))
        delay = float(milliseconds) / 2000
        await asyncio.gather(carry(reader, there[1], delay), carry(there[0], writer, delay))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
