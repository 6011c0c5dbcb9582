#!/usr/bin/env python3
"""The image chunker, version 1, as plainly as docs/formats/image-chunker.md says it, for tests. Slow.

image_chunker.py AVERAGE FILE    prints one line a chunk: its end, and "zero" when it is one of a zero run
image_chunker.py --batch         reads lines "AVERAGE FILE"; each is answered by its chunks and an empty line
"""
import os
import struct
import sys
import zlib

BLOCK = 4096
HEAD = 1 << 20


def buzhash_table():
    """The table of casync's chunker, read from where the kernels have it."""
    here = os.path.dirname(os.path.abspath(__file__))
    source = open(os.path.join(here, "../../Sources/CKernels/buzhash_table.c")).read()
    body = source[source.index("{") + 1:source.index("}")]
    table = [int(word, 16) for word in body.replace(",", " ").split()]
    assert len(table) == 256
    return table


TABLE = buzhash_table()


def rol(x, n):
    n %= 32
    return ((x << n) | (x >> (32 - n))) & 0xffffffff if n else x


def discriminator(minimum, average, maximum):
    real = average / (-1.42888852e-7 * average + 1.33237515)
    d = maximum if real < 0 or real > maximum else int(real)
    return min(max(d, minimum), maximum)


def buzhash_ends(b, minimum, average, maximum):
    """casync's chunker over all of b."""
    n = len(b)
    if minimum == average == maximum:
        return [min(s + average, n) for s in range(0, n, average)]
    d = discriminator(minimum, average, maximum)
    first = max(minimum, 48)
    table, table16 = TABLE, [rol(x, 16) for x in TABLE]
    ends, s = [], 0
    while s < n:
        p = s + first
        if p > n:
            ends.append(n)
            break
        h = 0
        for byte in b[p - 48:p]:
            h = rol(h, 1) ^ table[byte]
        while p - s < maximum and h % d != d - 1 and p < n:
            h = ((h << 1 | h >> 31) & 0xffffffff) ^ table16[b[p - 48]] ^ table[b[p]]
            p += 1
        ends.append(p)
        s = p
    return ends


def overlap(ranges):
    ranges = sorted(ranges)
    return any(ranges[i][1] > ranges[i + 1][0] for i in range(len(ranges) - 1))


def gpt_ranges(head, sector):
    """None: no GPT header there. "void": a table that cannot be used. Else its ranges."""
    h = head[sector:2 * sector]
    if len(h) < 92 or h[:8] != b"EFI PART":
        return None
    header_size, header_crc = struct.unpack_from("<II", h, 12)
    if not 92 <= header_size <= sector or header_size > len(h):
        return None
    if zlib.crc32(h[:16] + bytes(4) + h[20:header_size]) != header_crc:
        return None
    array_sector, count, size, array_crc = struct.unpack_from("<QIII", h, 72)
    start = array_sector * sector
    end = start + count * size
    if not 128 <= size <= 4096 or count > 1024 or end > HEAD or end > len(head):
        return None
    if zlib.crc32(head[start:end]) != array_crc:
        return None
    ranges = []
    for i in range(count):
        entry = head[start + i * size:start + (i + 1) * size]
        if entry[:16] == bytes(16):
            continue
        first, last = struct.unpack_from("<QQ", entry, 32)
        if first > last or (last + 1) * sector >= 1 << 63:
            return "void"
        ranges.append((first * sector, (last + 1) * sector))
    return ranges


def mbr_ranges(head):
    if head[510:512] != b"\x55\xaa":
        return None
    ranges = []
    for i in range(4):
        entry = head[446 + 16 * i:462 + 16 * i]
        start, count = struct.unpack_from("<II", entry, 8)
        if entry[0] not in (0x00, 0x80) or entry[4] == 0xee:
            return None
        if entry[4] and start and count:
            ranges.append((start * 512, (start + count) * 512))
    return ranges or None


def segments(b):
    """The ranges of the stream that are cut each for itself."""
    head = b[:HEAD]
    ranges = gpt_ranges(head, 512)
    if ranges is None:
        ranges = gpt_ranges(head, 4096)
    if ranges is None:
        ranges = mbr_ranges(head)
    if ranges is None or ranges == "void" or overlap(ranges):
        return [(0, len(b))]
    out, position = [], 0
    for start, end in sorted(ranges) + [(len(b), len(b))]:
        start, end = min(start, len(b)), min(end, len(b))
        if start > position:
            out.append((position, start))
        if end > start:
            out.append((start, end))
        position = max(position, end)
    return out


def is_block(s):
    def word(offset, order="<"):
        return struct.unpack_from(order + "I", s, offset)[0] if offset + 4 <= len(s) else -1
    return (s[1080:1082] == b"\x53\xef" and 2 <= word(1048) <= 6
            or s[0:4] == b"XFSB" and 4096 <= word(4, ">") <= 65536
            or s[65600:65608] == b"_BHRfS_M" and 4096 <= word(65680) <= 65536
            or s[1024:1028] == b"\xe2\xe1\xf5\xe0" and len(s) > 1036 and 12 <= s[1036] <= 16
            or s[1024:1028] == b"\x10\x20\xf5\xf2" and 12 <= word(1040) <= 16)


def block_hash(block):
    if len(block) < BLOCK:
        return 0xffffffff
    a = zlib.adler32(block)
    a = a * 0x9E3779B1 & 0xffffffff
    a ^= a >> 15
    a = a * 0x85EBCA77 & 0xffffffff
    return a ^ a >> 13


def segment_cuts(s, average):
    """The chunks of one segment: (end, whether it is of a zero run)."""
    maximum = 4 * average
    blocks = [s[i:i + BLOCK] for i in range(0, len(s), BLOCK)]
    zero = [not any(block) for block in blocks]
    n = len(blocks)

    def in_run(i):
        return zero[i] and (i > 0 and zero[i - 1] or i + 1 < n and zero[i + 1])

    block_kind = is_block(s)
    hashes = [block_hash(block) for block in blocks] if block_kind else []
    w = average // 8192 - 1

    def is_minimum(c):
        if c - w < 0 or c + w >= n:
            return False
        return all(hashes[c - k] > hashes[c] and hashes[c + k] >= hashes[c] for k in range(1, w + 1))

    out, i = [], 0
    while i < n:
        j = i
        while j < n and in_run(j) == in_run(i):
            j += 1
        start, end = i * BLOCK, min(j * BLOCK, len(s))
        if in_run(i):
            out += [(min(p + maximum, end), True) for p in range(start, end, maximum)]
        elif block_kind:
            for c in range(i, j):
                p = min((c + 1) * BLOCK, len(s))
                if p == end or is_minimum(c) or p - start >= maximum:
                    out.append((p, False))
                    start = p
        else:
            ends = buzhash_ends(s[start:end], average // 4, average, maximum)
            out += [(start + p, False) for p in ends]
        i = j
    return out


def cuts(b, average):
    """The chunks of a stream: (end, whether it is of a zero run)."""
    assert average % 8192 == 0 and 16384 <= average <= 1 << 20
    return [(start + p, z) for start, end in segments(b) for p, z in segment_cuts(b[start:end], average)]


def answer(average, path):
    with open(path, "rb") as file:
        for end, is_zero in cuts(file.read(), int(average)):
            print(end, "zero") if is_zero else print(end)


if __name__ == "__main__":
    if sys.argv[1:] == ["--batch"]:
        for line in sys.stdin:
            answer(*line.split(None, 1)[0:1], line.split(None, 1)[1].rstrip("\n"))
            print(flush=True)
    elif len(sys.argv) == 3:
        answer(sys.argv[1], sys.argv[2])
    else:
        sys.exit(__doc__)
