"""What a job cannot do without, each part alone and as fast as this machine does it."""

import functools
import json
import mmap
import os
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from inputs import MiB, ZEROS, any_data, device, new_file
from measure import output, run

REPEATS = 3


class Floors:
    """Measures parts when they are asked for, each once. Seconds, the median of three."""

    def __init__(self, tools, casync, directory):
        self.tools, self.casync, self.directory = tools, casync, directory
        self.cores = len(os.sched_getaffinity(0))
        self.known = {}

    def __call__(self, part, *arguments):
        key = (part, *arguments)
        if key not in self.known:
            self.known[key] = statistics.median(getattr(self, part)(*arguments) for _ in range(REPEATS))
        return self.known[key]

    # Each chunk's own work, on all cores.

    def compress(self, image, index, algorithm):
        return self.chunks("compress", image, index, algorithm)

    def decompress(self, image, index, algorithm):
        return self.chunks("decompress", image, index, algorithm)

    def digest(self, image, index, algorithm):
        return self.chunks("digest", image, index, algorithm)

    @functools.cache
    def places(self, image, index, distinct):
        """Where the chunks of an image are that are not zeros: lines for Floors."""
        lines, seen = [], set()
        with open(image, "rb") as file:
            for line in output(self.casync, "list-chunks", "--json", index).splitlines():
                chunk = json.loads(line)
                if chunk["id"] in seen and distinct:
                    continue
                seen.add(chunk["id"])
                file.seek(chunk["offset"])
                if any_data(file.read(chunk["length"])):
                    lines.append(f"{chunk['offset']} {chunk['length']}\n")
        return lines

    def chunks(self, part, image, index, algorithm):
        lines = self.places(image, index, part != "digest")
        command = [f"{self.tools}/Floors", part, algorithm, image]
        workers = [subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                   for _ in range(self.cores)]
        for share, worker in enumerate(workers):
            # Runs of 64 in turn, so that the shares are alike.
            own = (lines[i:i + 64] for i in range(share * 64, len(lines), self.cores * 64))
            worker.stdin.write("".join(line for run in own for line in run) + "\n")
            worker.stdin.flush()
        for worker in workers:
            worker.stdout.readline()
        times = [worker.communicate("\n")[0] for worker in workers]
        return max(map(float, times))

    # The whole image as one stream: no second core can help.

    def stream(self, image, algorithm):
        return run("openssl", "dgst", f"-{algorithm}", image).wall

    # The medium.

    @functools.lru_cache(1)
    def pieces(self, image):
        """What of the image is not zeros, in memory: offsets and up to a MiB each."""
        size = os.path.getsize(image)
        memory = memoryview(mmap.mmap(-1, size))
        runs = []
        with open(image, "rb", buffering=0) as file:
            for start in range(0, size, len(ZEROS)):
                piece = memory[start:start + len(ZEROS)]
                file.readinto(piece)
                if not any_data(piece):
                    continue
                if runs and runs[-1].stop == start and len(runs[-1]) < MiB:
                    runs[-1] = range(runs[-1].start, start + len(piece))
                else:
                    runs.append(range(start, start + len(piece)))
        return [(run.start, memory[run.start:run.stop]) for run in runs]

    def each(self, image, body):
        """Several at a time: the calls below let other threads run."""
        with ThreadPoolExecutor(2 * self.cores) as threads:
            list(threads.map(lambda piece: body(*piece), self.pieces(image)))

    def fill(self, path, image, flags):
        """Seconds to write and flush what is not zeros."""
        self.pieces(image)
        descriptor = os.open(path, os.O_WRONLY | flags)
        os.sync()
        try:
            start = time.monotonic()
            self.each(image, lambda offset, piece: os.pwrite(descriptor, piece, offset))
            os.fsync(descriptor)
            return time.monotonic() - start
        finally:
            os.close(descriptor)

    def write(self, image):
        """Into an empty file, through the page cache or, where its size allows it, past it."""
        size = os.path.getsize(image)
        path = f"{self.directory}/floor"
        ways = (0, os.O_DIRECT) if size % mmap.PAGESIZE == 0 else (0,)
        times = [self.fill(new_file(path, size), image, flags) for flags in ways]
        os.remove(path)
        return min(times)

    def device(self, image):
        with device(f"{self.directory}/loop", os.path.getsize(image)) as name:
            return self.fill(name, image, os.O_DIRECT)

    def device_and_back(self, image):
        """Writes, flushes and reads once."""
        with device(f"{self.directory}/loop", os.path.getsize(image)) as name:
            seconds = self.fill(name, image, os.O_DIRECT)
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECT)
            start = time.monotonic()
            # Back to where the same bytes are, which are in memory already.
            self.each(image, lambda offset, piece: os.preadv(descriptor, [piece], offset))
            seconds += time.monotonic() - start
            os.close(descriptor)
            return seconds
