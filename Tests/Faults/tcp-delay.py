#!/usr/bin/env python3
"""A proxy for TCP that makes the way longer: what comes is passed on later. Prints its port on standard error.

    tcp-delay.py UPSTREAM_PORT [delay=MS] [host=ADDRESS] [listen=ADDRESS]

delay=MS    so much later in each direction (25: 50 ms a round trip)
"""
import asyncio
import sys

port = int(sys.argv[1])
options = dict(word.split("=", 1) for word in sys.argv[2:])
delay = float(options.get("delay", 25)) / 1000
HELD = 1024


async def relay(reader, writer):
    """Passes on what comes, each piece at its time; at most so many pieces are on their way."""
    loop = asyncio.get_running_loop()
    way = asyncio.Queue(HELD)

    async def arrive():
        while True:
            due, piece = await way.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    try:
        while piece := await reader.read(1 << 16):
            await way.put((loop.time() + delay, piece))
    except ConnectionError:
        pass
    await way.put((loop.time() + delay, b""))
    try:
        await arriving
    except ConnectionError:
        pass


async def serve(reader, writer):
    # The connection's own round trip.
    await asyncio.sleep(2 * delay)
    far_reader, far_writer = await asyncio.open_connection(options.get("host", "127.0.0.1"), port)
    await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer))


async def main():
    server = await asyncio.start_server(serve, options.get("listen", "127.0.0.1"), 0, backlog=256)
    print(server.sockets[0].getsockname()[1], file=sys.stderr, flush=True)
    await server.serve_forever()


asyncio.run(main())
