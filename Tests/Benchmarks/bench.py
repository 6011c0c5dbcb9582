"""The benchmark of ci/bench: casync and us, the same jobs on the same image, in turn.

    ci/bench [--quick] [--rows=NAME,...] [--runs=N] [--write]

--quick tries everything out on the small image, once: its figures mean nothing. Only a whole run that is not
quick writes docs/benchmarks.md and docs/benchmarks.json, or one of some rows with --write.

ext4 does not use an inode again that was deleted in the last minutes (recently_deleted in fs/ext4/ialloc.c):
whoever creates many files after a store was removed searches past all of its inodes, which multiplies the
system time. So everything happens on a new ext4, in a file on a loop device, and no store is removed there:
each run has a fresh one. Images, trees, and images of other sizes have one after the other.
"""

import argparse
import contextlib
import functools
import os
import shutil
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import inputs
import report
import trees
from floors import Floors
from inputs import MiB, warm
from measure import median, output, profile, run, run_all

OURS = os.environ["BENCH_CASYNC"]
TOOLS = os.environ["BENCH_TOOLS"]
IMAGES = Path(os.environ["BENCH_IMAGES"])
CASYNC_RUNS = 3


@dataclass
class Row:
    """A job of ours beside what casync does for it."""
    name: str
    job: str
    goal: float | None  # how many times as fast as casync
    ours: callable      # gives the commands of one run, onto a target
    floor: callable     # gives the parts that cannot be avoided: seconds each
    index: callable = None  # gives the index whose chunks bound the memory; None: that of the image


@dataclass
class Group:
    """Rows with the same counterpart: casync runs once for all of them in each round."""
    name: str
    rows: list
    casync: callable = None
    target: callable = inputs.nothing  # a context in which one run takes place, which gives the target's path
    check: callable = None  # ends the benchmark unless a target is right; None: it is the image


class Bench:
    def __init__(self, directory, options):
        self.directory, self.options = Path(directory), options
        self.count = 0
        self.floors = Floors(TOOLS, OURS, directory)
        self.image, self.before = self.path("new.ext4"), self.path("old.ext4")
        self.size = os.path.getsize(IMAGES / self.image.name)
        self.new, self.old = self.path("new.caibx"), self.path("old.caibx")
        self.theirs, self.made = self.path("new.theirs.caibx"), self.path("new.made.caibx")
        # What is in the page cache when a group begins: what others wrote may have pushed it out.
        self.inputs = []

    def path(self, name):
        return self.directory / name

    def fresh(self, name):
        """A path that was never used: see above."""
        self.count += 1
        return self.directory / f"{name}-{self.count}"

    def prepare(self):
        """Indexes of both images and the stores that hold them, casync's and ours."""
        report.say("stores and indexes of both images")
        for image, name in ((self.before, "old"), (self.image, "new")):
            # casync does more work for a seed on another file system than its target's.
            run("cp", IMAGES / image.name, image)
            run("casync", "make", f"--store={self.path('theirs')}", self.path(f"{name}.theirs.caibx"), image)
            run(OURS, "put", f"--store={self.path('ours')}", self.path(f"{name}.caibx"), image)
        run(OURS, "make", f"--store={self.path('made')}", self.made, self.image)
        self.inputs = [self.image, self.before, *map(self.path, ("theirs", "ours", "made"))]

    # One run of each job.

    def casync_make(self, _, store=None):
        store = store or self.fresh("store")
        return [["casync", "make", f"--store={store}", self.path("x.caibx"), self.image],
                ["sync", "--file-system", store]]

    def casync_extract(self, target, *options):
        flush = ["sync", target] if target.startswith("/dev/") else ["sync", "--file-system", target]
        # casync would take an empty device for a seed and cut it.
        command = ["casync", "extract", f"--store={self.path('theirs')}", "--seed-output=no", *options]
        return [[*command, self.theirs, target], flush]

    def make(self, verb, store=None, *options):
        store = store or self.fresh("store")
        return [[OURS, verb, f"--store={store}", *options, self.path("x.caibx"), self.image]]

    def get(self, target, *options):
        return [[OURS, "get", f"--store={self.path('ours')}", "--state-dir=none", *options, self.new, target]]

    def groups(self):
        path, floor, new, before = self.path, self.floors, self.image, self.before
        image, buzhash = (new, self.new, "sha256"), (new, self.made, "sha512-256")
        seed = f"--seed={before}"
        stream, digest = "digest of the image, one core", "digest of the chunks"

        def put_floor(chunks, stores):
            parts = {digest: floor("digest", *chunks)}
            if chunks is buzhash:
                # casync prints it, so make must; put does not.
                parts[stream] = floor("stream", new, chunks[2])
            return parts | ({"zstd of new chunks": floor("compress", *chunks)} if stores else {})

        def update_floor(medium, cut):
            written, digested = {"write and flush": floor(medium, new)}, floor("digest", *image)
            if not cut:
                return {digest: digested} | written
            digested += floor("digest", before, self.old, "sha256")
            return {f"{digest} and the seed": digested} | written

        empty = Group("empty", casync=self.casync_make, rows=[
            Row("put", "put (image chunker, SHA-256) into an empty store", 4,
                lambda _: self.make("put"), lambda: put_floor(image, True)),
            Row("make", "make (buzhash, SHA-512/256) into an empty store", 3.5,
                lambda _: self.make("make"), lambda: put_floor(buzhash, True))])
        again = Group("again", casync=lambda _: self.casync_make(_, path("theirs")), rows=[
            Row("put-again", "put again, every chunk already there", 25,
                lambda _: self.make("put", path("ours")), lambda: put_floor(image, False)),
            Row("make-again", "make again, every chunk already there", 15,
                lambda _: self.make("make", path("made")), lambda: put_floor(buzhash, False)),
            Row("put-buzhash-again", "the same by put, which makes no digest of the image", None,
                lambda _: self.make("put", path("made"), "--chunker=buzhash", "--digest=sha512-256"),
                lambda: {digest: floor("digest", *buzhash)}, lambda: self.made)])
        get = Group("get", casync=self.casync_extract, target=self.file, rows=[
            Row("get", "get / extract into an empty file, warm local store", 6, self.get, lambda: {
                "zstd of the chunks": floor("decompress", *image), digest: floor("digest", *image),
                "write and flush": floor("write", new)})])

        def update(name, what, target, medium, *options):
            return Group(name, casync=lambda to: self.casync_extract(to, seed), target=target, rows=[
                Row(f"{name}-index", f"get of the update onto a {what}, seed with index", 25,
                    lambda to: self.get(to, seed, f"--seed-index={self.old}", *options),
                    lambda: update_floor(medium, False)),
                Row(f"{name}-cut", f"get of the update onto a {what}, seed without index", 15,
                    lambda to: self.get(to, seed, *options), lambda: update_floor(medium, True))])

        digests = Group("digest", rows=[
            Row("verify", "verify of an image", 6, lambda _: [[OURS, "verify", self.new, new]],
                lambda: {digest: floor("digest", *image)}),
            Row("digest", "digest of an index", 6,
                lambda _: [[OURS, "digest", f"--store={path('ours')}", self.new]], lambda: {
                    stream: floor("stream", new, "sha512-256"),
                    "zstd of the chunks": floor("decompress", *image)})],
            casync=lambda _: [["casync", "digest", f"--store={path('theirs')}", self.theirs]])
        back = Group("read-back", target=self.device, rows=[
            Row("read-back", "get onto a loop device, read back", None, self.get,
                lambda: {"write, flush, read once": floor("device_and_back", new)})])
        return [empty, again, get, update("update", "loop device", self.device, "device", "--no-verify"),
                update("update-file", "file", self.file, "write"), digests, back]

    # Targets.

    def file(self):
        return inputs.temporary(self.path("target"))

    def device(self):
        return inputs.device(self.path("loop"), self.size)

    # Measuring.

    def once(self, job, group, check):
        with group.target() as target, contextlib.ExitStack() as stack:
            variables = {}
            if job is group.casync:
                # It makes a link for each chunk of a seed in its temporary directory, and removes them: see above.
                variables["TMPDIR"] = stack.enter_context(inputs.file_system(self.directory, 4 << 30))
            commands = job(target)
            os.sync()
            cost = run_all(commands, **variables)
            if target and check and group.check:
                group.check(target)
            elif target and check:
                run("cmp", f"--bytes={self.size}", target, self.image)
        return cost

    def results(self, groups):
        """What is wanted of the groups."""
        wanted = self.options.rows
        for group in groups:
            # A file tells little more than a device: only when it is asked for.
            rows = [row for row in group.rows if wanted and {row.name, group.name} & {*wanted}
                    or not wanted and group.name != "update-file"]
            if rows:
                yield from self.measure(group, rows)

    def measure(self, group, rows):
        """A B A B: casync, then each row of ours, and again; casync, which takes most of the time, in the first
        rounds only."""
        jobs = {"casync": (group.casync, min(CASYNC_RUNS, self.options.runs))} if group.casync else {}
        jobs |= {row.name: (row.ours, self.options.runs) for row in rows}
        costs = {name: [] for name in jobs}
        if self.inputs:
            warm(*self.inputs)
        for number in range(self.options.runs):
            for name, (job, runs) in jobs.items():
                if number < runs:
                    report.say(f"{group.name}: {name}, {number + 1} of {runs}")
                    costs[name].append(self.once(job, group, check=number == 0))
        for row in rows:
            yield self.result(row, group, costs.get("casync"), costs[row.name])

    def result(self, row, group, casync, ours):
        report.say(f"floor of {row.name}")
        floor = row.floor()
        index = self.made if row.name.startswith("make") else self.new
        index = row.index() if row.index else index
        result = {
            "name": row.name, "job": row.job, "goal": row.goal, "ours": median(ours), "oursRuns": ours,
            "floor": floor, "distance": median(ours).wall / max(floor.values()),
            "rssLimit": self.rss_limit(index)}
        if casync:
            # Of neighbouring runs, so that a machine that changes its pace changes it for both.
            ratio = statistics.median(a.wall / b.wall for a, b in zip(casync, ours))
            result |= {"casync": median(casync), "casyncRuns": casync, "ratio": ratio}
        if result["distance"] > report.DISTANCE or result.get("ratio", 0) < (row.goal or 0):
            with group.target() as target:
                result["profile"] = profile(row.ours(target)[0], self.directory)
        return result

    @functools.cache
    def rss_limit(self, index):
        """In KiB: what the design allows for an image of so many chunks."""
        count = len(output(OURS, "list-chunks", index).splitlines())
        return (64 << 10) + 48 * count // 1024

    def scale(self):
        """The same jobs on images of other sizes, with one worker and with all: each once in a round, so that a
        machine that changes its pace changes it for all sizes, and the faster of two rounds."""
        sizes = [MiB << shift for shift in ((6, 7, 8) if self.options.quick else (9, 10, 11, 12))]
        images = {size: self.path(f"scaled-{size}") for size in sizes}
        for size, image in images.items():
            inputs.scale(IMAGES / self.image.name, image, size)
        costs, limits = {}, {}
        for number in range(min(2, self.options.runs)):
            for size, image in images.items():
                for workers in (1, self.floors.cores):
                    report.say(f"{size >> 20} MiB, {workers} workers, {number + 1}")
                    store, index, target = self.fresh("store"), self.path("scaled.caibx"), self.path("target")
                    options = [f"--store={store}", f"--workers={workers}", index]
                    warm(image)
                    for job, command in (("put", ["put", *options, image]), ("get", ["get", *options, target])):
                        os.sync()
                        costs.setdefault((job, size, workers), []).append(run(OURS, *command))
                    target.unlink()
                    limits[size] = limits.get(size) or self.rss_limit.__wrapped__(self, index)
        for (job, size, workers), runs in costs.items():
            yield {"job": job, "size": size, "workers": workers, "cost": min(runs, key=lambda cost: cost.wall),
                   "runs": runs, "rssLimit": limits[size]}

    def kernels(self):
        """Rates of the kernels in GB/s, hot and cold, of one process."""
        report.say("kernels")
        for line in output(f"{TOOLS}/KernelBenchmarks").splitlines()[1:]:
            name, hot, cold = line.rsplit(None, 2)
            yield {"name": name, "hot": float(hot), "cold": float(cold)}


def main():
    # Ended from outside it takes down what it mounted and attached, as at any other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="ci/bench", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="the small image, one run")
    parser.add_argument("--rows", type=lambda names: names.split(","), help="only these, or their groups")
    parser.add_argument("--runs", type=int, help="runs of each job (default 5)")
    parser.add_argument("--write", action="store_true", help="write the page although rows are missing")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else 5)
    results = {"machine": report.machine(OURS), "runs": options.runs, "quick": options.quick,
               "casyncRuns": min(CASYNC_RUNS, options.runs)}
    start = time.monotonic()

    room = (4 if options.quick else 40) << 30
    place = os.environ.get("TMPDIR", "/var/tmp")
    if shutil.disk_usage(place).free < room:
        raise SystemExit(f"bench: {place} must have {room >> 30} GiB free; TMPDIR names another place")
    inputs.touch_memory()
    wanted = options.rows
    with inputs.file_system(place, room) as directory:
        bench = Bench(directory, options)
        bench.prepare()
        results["rows"] = list(bench.results(bench.groups()))
        bench.floors.pieces.cache_clear()
    with inputs.file_system(place, room) as directory:
        bench = Bench(directory, options)
        results["rows"] += bench.results(trees.Trees(bench, OURS, IMAGES).groups(Row, Group))
    with inputs.file_system(place, room) as directory:
        bench = Bench(directory, options)
        if not wanted or "scale" in wanted:
            results["scale"] = list(bench.scale())
        if not wanted or "kernels" in wanted:
            results["kernels"] = list(bench.kernels())
    results["seconds"] = round(time.monotonic() - start)
    isWritten = not options.quick and (options.write or not wanted)
    report.write(results, Path("docs") if isWritten else None)


main()
