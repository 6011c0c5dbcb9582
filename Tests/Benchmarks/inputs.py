"""What the jobs work on: images of other sizes, stores, targets."""

import contextlib
import mmap
import os
import subprocess
import tempfile

from measure import output, run

MiB = 1 << 20
STRIPE = 16 * MiB
ZEROS = bytes(64 << 10)


def any_data(piece):
    """Whether a piece holds anything but zeros."""
    piece = bytes(piece)
    return piece != ZEROS[:len(piece)] if len(piece) <= len(ZEROS) else any(piece)


def touch_memory():
    """Touches all memory that is free: a virtual machine gets some of it from its host only then, and whoever
    is measured would pay for that."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - (1 << 30)
    mmap.mmap(-1, max(free, MiB), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def warm(*paths):
    """Reads files, or what lies below directories: then none is read from the disk while it is measured."""
    command = ["find", *map(str, paths), "-type", "f", "-exec", "cat", "{}", "+"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def scale(source, target, size):
    """Writes an image of `size` bytes that is like `source` throughout: stripes of it, evenly taken.

    Where it takes more stripes than there are, each byte that is not zero becomes another: as compressible,
    but new.
    """
    stripes, total = size // STRIPE, os.path.getsize(source) // STRIPE
    with open(source, "rb") as old, open(target, "wb") as new:
        for number in range(stripes):
            turn, within = divmod(number, total)
            count = min(total, stripes - turn * total)
            old.seek(within * total // count * STRIPE)
            data = old.read(STRIPE)
            if turn:
                data = data.translate(bytes([0, *((byte + turn) % 255 + 1 for byte in range(255))]))
            for start in range(0, STRIPE, len(ZEROS)):
                piece = data[start:start + len(ZEROS)]
                if any_data(piece):
                    new.seek(number * STRIPE + start)
                    new.write(piece)
        new.truncate(size)


def new_file(path, size):
    """A file that is all hole."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    with open(path, "wb") as file:
        file.truncate(size)
    return path


@contextlib.contextmanager
def nothing():
    yield None


@contextlib.contextmanager
def temporary(path):
    """A path at which nothing is, before and after."""
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def loop(path, *options):
    """A loop device on a file."""
    name = output("losetup", "--find", "--show", *options, path)
    try:
        yield name
    finally:
        run("losetup", "--detach", name)


@contextlib.contextmanager
def device(path, size):
    """A loop device of zeros. Its blocks are allocated and were written before, as those of a partition are
    that held an image: its file stays, for the next one."""
    zeros = mmap.mmap(-1, 4 * MiB)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    try:
        for start in range(0, size, len(zeros)):
            os.pwrite(descriptor, memoryview(zeros)[:size - start], start)
    finally:
        os.close(descriptor)
    with loop(path, "--direct-io=on") as name:
        yield name


@contextlib.contextmanager
def file_system(directory, room):
    """A new ext4 of `room` bytes, mounted; its file is sparse."""
    with tempfile.TemporaryDirectory(prefix="casync-bench-", dir=directory) as base:
        mount = f"{base}/mount"
        os.mkdir(mount)
        with loop(new_file(f"{base}/file-system", room), "--direct-io=on") as name:
            # No thread that still zeroes inode tables while something is measured.
            run("mkfs.ext4", "-q", "-E", "assume_storage_prezeroed=1", name)
            run("mount", "-t", "ext4", name, mount)
            try:
                yield mount
            finally:
                run("umount", mount)
