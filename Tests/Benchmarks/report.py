"""Prints what was measured, and writes it as a page and as JSON."""

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import datetime, timezone

from measure import output

DISTANCE = 1.3  # from the floor, at most
SPREAD = 1.1    # of the time per GiB between sizes, at most

# What is asked of the kernels: which, measured how, beside which of the same run, at least this share of it.
MEMCPY, SHA256, SHA512 = "memcpy", "sha256, libcrypto", "sha512-256, libcrypto"
KERNELS = [
    ("scan stream (64K), avx2", "hot", MEMCPY, 2 / 49.5),
    ("scan stream (64K), avx512", "hot", MEMCPY, 2.5 / 49.5),
    ("scan block, avx2", "cold", MEMCPY, 15 / 20.8), ("scan block, avx512", "cold", MEMCPY, 15 / 20.8),
    ("zero test, avx2", "cold", MEMCPY, 15 / 20.8), ("zero test, avx512", "cold", MEMCPY, 15 / 20.8),
    ("sha256, avx2", "hot", SHA256, 1.8), ("sha256, avx512", "hot", SHA256, 1.8),
    ("sha512-256, avx2", "hot", SHA512, 1.6), ("sha512-256, avx512", "hot", SHA512, 3)]

HEAD = """# Benchmarks

Written by `ci/bench`, which measured all of it in one run. The image is a Debian server's ext4 file system,
nearly half of it zeros ([images](../images/README.md)); both programs work on the same files in turn, and a
figure is the median of the runs. Compare figures of one run with one another only: machines differ.

- casync's counterpart of put and make is `casync make`, of get `casync extract`, of verify and digest
  `casync digest` of an index. Its time includes a flush of what it wrote. Both start after `sync`, with their
  inputs in the page cache, on an ext4 made for the run.
- CPU is user and system time of the process; MiB read and written are what it moved by system calls.
- The floor is the slowest part that the job cannot do without, alone, with nothing else to do.
- Peak memory may be 64 MiB and 48 bytes a chunk.
"""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine(casync):
    with open("/proc/cpuinfo") as lines:
        names = [line.split(": ")[1].strip() for line in lines if line.startswith("model name")]
    dirty = "" if not output("git", "status", "--porcelain", "--untracked-files=no") else ", changed"
    return {
        "cpu": names[0] if names else platform.machine(), "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(), "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "casync": output("casync", "--version").splitlines()[0],
        "ours": output(casync, "--version").splitlines()[-1],
        "swift": output("swiftc", "--version").splitlines()[0],
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output("git", "rev-parse", "HEAD") + dirty}


def verdict(*reached):
    return "reached" if all(reached) else "**missed**"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def speed(rows):
    lines = []
    for row in rows:
        ratio = f"{row['ratio']:.1f}" if "ratio" in row else ""
        wanted = f"≥ {row['goal']:g}" if row["goal"] else ""
        name, seconds = max(row["floor"].items(), key=lambda part: part[1])
        judgement = verdict(row.get("ratio", 0) >= row["goal"]) if row["goal"] else ""
        close = verdict(row["distance"] <= DISTANCE)
        floor, distance = f"{name}: {seconds:.2f} s", f"{row['distance']:.2f}"
        lines.append([row["job"], ratio, wanted, judgement, floor, distance, close])
    head = ["job", "casync's wall / ours", "target", "", "floor", "ours / floor", f"≤ {DISTANCE}"]
    return table(head, lines)


def costs(rows):
    lines = []
    for row in rows:
        for who in ("casync", "ours"):
            if cost := row.get(who):
                limit, within = "", ""
                if who == "ours":
                    limit, within = f"{row['rssLimit'] / 1024:.1f}", verdict(cost.rss <= row["rssLimit"])
                lines.append([
                    row["job"], who, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.rss / 1024:.1f}", limit,
                    within, f"{cost.read / 2**20:.0f}", f"{cost.written / 2**20:.0f}"])
    return table(["job", "", "wall s", "CPU s", "peak MiB", "limit", "", "MiB read", "MiB written"], lines)


def profiles(rows):
    lines = []
    for row in rows:
        if profile := row.get("profile"):
            shares = ", ".join(f"{name} {share:.0%}" for name, share in profile["libraries"].items())
            lines.append([row["job"], f"{profile['busiestThread']:.0%}", shares])
    if not lines:
        return ""
    return "Where the time goes of jobs that missed a target (perf):\n\n" + table(
        ["job", "busiest thread", "CPU time by program and library"], lines)


def scale(results):
    lines = []
    for job in ("put", "get"):
        for workers in sorted({entry["workers"] for entry in results}):
            own = [entry for entry in results if (entry["job"], entry["workers"]) == (job, workers)]
            rates = [entry["cost"].wall / entry["size"] * 2**30 for entry in own]
            within = all(entry["cost"].rss <= entry["rssLimit"] for entry in own)
            for entry, rate in zip(own, rates):
                cost = entry["cost"]
                lines.append([f"{job}, {workers} workers", f"{entry['size'] / 2**30:g}", f"{rate:.2f}",
                              f"{cost.cpu / entry['size'] * 2**30:.2f}", f"{cost.rss / 1024:.1f}",
                              f"{entry['rssLimit'] / 1024:.1f}", ""])
            spread = max(rates) / min(rates)
            judgement = f"{verdict(spread <= SPREAD)}; memory {verdict(within)}"
            lines[-1][-1] = f"largest / smallest {spread:.2f}: {judgement}"
    return table(["job", "GiB", "wall s a GiB", "CPU s a GiB", "peak MiB", "limit", ""], lines)


def kernels(results):
    def short(name):
        words = name.replace("portable (libcrypto)", "libcrypto").split(", ")
        if words[0].startswith("sha"):
            words[0] = words[0].split(" of ")[0]
        return ", ".join(words)

    rates = {short(entry["name"]): entry for entry in results}
    targets = {(name, column, beside): share for name, column, beside, share in KERNELS}
    lines = []
    for name, rate in rates.items():
        openssl = {"sha256": SHA256, "sha512-256": SHA512}.get(name.split(",")[0])
        notes = []
        for (kernel, column, beside), share in targets.items():
            if kernel == name:
                measured = rate[column] / rates[beside][column]
                of = f" {column}" if beside == MEMCPY else ""
                notes.append(f"{measured:.3g} of {beside}{of} ≥ {share:.3g}: {verdict(measured >= share)}")
        lines.append([name, rate["hot"], rate["cold"], f"{rate['hot'] / rates[MEMCPY]['hot']:.1%}",
                      f"{rate['cold'] / rates[MEMCPY]['cold']:.1%}",
                      f"{rate['hot'] / rates[openssl]['hot']:.2f}" if openssl else "", "; ".join(notes)])
    head = ["kernel", "hot GB/s", "cold GB/s", "of memcpy hot", "of memcpy cold", "of openssl", "target"]
    return table(head, lines)


def page(results):
    about = results["machine"]
    parts = [HEAD, f"{about['date']}, commit {about['commit']}: {about['cpu']}, {about['cores']} cores, "
             f"{about['memoryGiB']} GiB, {about['system']}, Linux {about['kernel']}; "
             f"{about['casync']}, {about['swift']}. {results['runs']} runs ({results['casyncRuns']} of casync), "
             f"{results['seconds'] / 60:.0f} minutes.\n"]
    if rows := results["rows"]:
        parts += ["## Against casync, and against the floor\n", speed(rows)]
        parts += ["## What each costs\n", costs(rows)]
        if text := profiles(rows):
            parts.append(text)
    if "scale" in results:
        parts += ["## Sizes and workers\n", "The fastest run of each, the sizes in turn.\n", scale(results["scale"])]
    if "kernels" in results:
        parts += ["## Kernels, on one core\n", kernels(results["kernels"])]
    return "\n".join(parts)


def write(results, directory):
    text = page(results)
    print(text)
    if directory:
        (directory / "benchmarks.md").write_text(text)
        (directory / "benchmarks.json").write_text(json.dumps(results, indent=1, default=asdict) + "\n")
