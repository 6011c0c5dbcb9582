"""Rows for directory trees: the Debian root of images/, its older version as the seed.

casync is made to flush what it wrote, as for images. Each run makes a tree of its own, and none is removed
(bench.py says why).
"""

import contextlib
import functools

import report
from measure import output, run


class Trees:
    def __init__(self, bench, ours, images):
        self.bench, self.ours, self.images = bench, ours, images

    @functools.cached_property
    def prepared(self):
        """Both trees, and of the new one an archive, an index and stores, casync's and ours."""
        report.say("trees, their archive, index and stores")
        place = self.bench.path("trees")
        for name in ("old", "new"):
            (place / name).mkdir(parents=True)
            run("tar", f"--directory={place / name}", "--xattrs", "--xattrs-include=security.*", "--zstd",
                "-xf", self.images / f"{name}.tar.zst")
        for program, store in (("casync", "theirs.castr"), (self.ours, "ours.castr")):
            run(program, "make", f"--store={place / store}", place / "new.caidx", place / "new")
        run(self.ours, "make", place / "new.catar", place / "new")
        self.digest = output(self.ours, "digest", place / "new")
        self.bench.inputs = [place]
        return place

    def make(self, program):
        store = self.bench.fresh("tree-store")
        command = [program, "make", f"--store={store}", self.bench.path("tree.caidx"), self.prepared / "new"]
        return [command, ["sync", "--file-system", self.bench.directory]]

    def extract(self, program, target, *options):
        store = "theirs.castr" if program == "casync" else "ours.castr"
        index = self.prepared / "new.caidx"
        command = [program, "extract", f"--store={self.prepared / store}", *options, index, target]
        return [command, ["sync", "--file-system", self.bench.directory]]

    def target(self):
        return contextlib.nullcontext(str(self.bench.fresh("tree")))

    def check(self, target):
        if output(self.ours, "digest", target) != self.digest:
            raise SystemExit(f"bench: {target} is not the tree that was archived")

    @functools.cached_property
    def index(self):
        return self.prepared / "new.caidx"

    def groups(self, row, group):
        bench, floor = self.bench, self.bench.floors
        ours = self.ours
        seed = lambda: f"--seed={self.prepared / 'old'}"
        chunks = lambda: (self.prepared / "new.catar", self.index, "sha512-256")

        def extract_floor():
            return {"zstd of the chunks": floor("decompress", *chunks()), "digest": floor("digest", *chunks()),
                    "write and flush": floor("write", chunks()[0])}

        def seed_floor():
            return {"digest of the seed and the chunks": 2 * floor("digest", *chunks()),
                    "write and flush": floor("write", chunks()[0])}

        return [
            group("tree-make", casync=lambda _: self.make("casync"), rows=[
                row("tree-make", "make of a tree into an empty store", 2.5, lambda _: self.make(ours),
                    lambda: {"zstd of new chunks": floor("compress", *chunks()),
                             "digest of the archive, one core": floor("stream", chunks()[0], "sha512-256")},
                    index=lambda: self.index)]),
            group("tree-extract", casync=lambda to: self.extract("casync", to), target=self.target,
                  check=self.check, rows=[
                row("tree-extract", "extract of a tree, warm local store", 2,
                    lambda to: self.extract(ours, to), extract_floor, index=lambda: self.index)]),
            group("tree-seed", casync=lambda to: self.extract("casync", to, seed()), target=self.target,
                  check=self.check, rows=[
                row("tree-seed", "extract of a tree, the older tree as seed", 4,
                    lambda to: self.extract(ours, to, seed()), seed_floor, index=lambda: self.index)]),
        ]
