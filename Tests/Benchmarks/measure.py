"""Runs commands and tells what each cost: wall clock, CPU, memory, bytes moved."""

import os
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, fields


@dataclass
class Cost:
    """What one run took, or the medians of several."""
    wall: float = 0       # seconds
    cpu: float = 0        # seconds, user and system, of the process and its children
    rss: int = 0          # peak, in KiB
    read: int = 0         # bytes that read calls gave
    written: int = 0      # bytes that write calls took
    diskRead: int = 0     # bytes that came from a disk
    diskWritten: int = 0  # bytes dirtied or sent to a disk

    def __add__(self, other):
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return Cost(**{**sums, "rss": max(self.rss, other.rss)})


def median(costs):
    names = [field.name for field in fields(Cost)]
    return Cost(**{name: statistics.median(getattr(cost, name) for cost in costs) for name in names})


def _io(pid):
    """The process's counters, with those of children it has waited for; readable until it is reaped."""
    with open(f"/proc/{pid}/io") as lines:
        return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def run(*command, **environment):
    """Runs a command to its end.

    time(1) stands between, because a child's peak memory starts with that of the process that forked it:
    Python's is larger than casync's.
    """
    with tempfile.NamedTemporaryFile("r") as peak, tempfile.TemporaryFile("w+") as errors:
        full = ["time", "--quiet", f"--output={peak.name}", "--format=%M", *map(str, command)]
        start = time.monotonic()
        pid = os.posix_spawnp(full[0], full, os.environ | environment, file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)])
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            wall = time.monotonic() - start
            io = _io(pid)
        except BaseException:
            os.kill(pid, signal.SIGTERM)
            raise
        finally:
            _, status, usage = os.wait4(pid, 0)
        if status:
            errors.seek(0)
            raise SystemExit(f"bench: {' '.join(map(str, command))}: status {status}\n{errors.read()}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, int(peak.read()), io["rchar"], io["wchar"],
                    io["read_bytes"], io["write_bytes"])


def run_all(commands, **environment):
    """One job that is several commands, one after the other."""
    return sum((run(*command, **environment) for command in commands), Cost())


def output(*command, **options):
    result = subprocess.run([*map(str, command)], check=True, text=True, stdout=subprocess.PIPE, **options)
    return result.stdout.strip()


def profile(command, directory):
    """Where a command's CPU time goes, by thread and by library; None without perf."""
    data = f"{directory}/perf.data"
    try:
        record = ["perf", "record", "--quiet", "--freq=2000", f"--output={data}", "--", *map(str, command)]
        subprocess.run(record, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        script = ["perf", "script", f"--input={data}", "--fields=tid,time,ip,dso"]
        samples = output(*script, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    threads, libraries, times = {}, {}, []
    for sample in samples.splitlines():
        thread, moment, _, library = sample.split(None, 3)
        library = os.path.basename(library.strip("()")).split(".so")[0].strip("[]").replace(".kallsyms", "")
        threads[thread] = threads.get(thread, 0) + 1
        libraries[library] = libraries.get(library, 0) + 1
        times.append(float(moment.rstrip(":")))
    count = len(times)
    if not count:
        return None
    # A thread that is busy all the time is what the others wait for.
    busiest = max(threads.values()) / 2000 / max(max(times) - min(times), 1e-3)
    shares = sorted(((n / count, name) for name, n in libraries.items()), reverse=True)
    large = {name: share for share, name in shares if share > 0.02}
    return {"busiestThread": min(1, busiest), "libraries": large}
