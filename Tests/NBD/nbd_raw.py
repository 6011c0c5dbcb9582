#!/usr/bin/env python3
"""Protocol tests of an NBD server against a reference image, in TAP.

nbd_raw.py URI IMAGE [--only NAME]… [--writable] [--pid PID]

It speaks the protocol itself, so that it can break its rules. URIs:
nbd+unix:///EXPORT?socket=PATH and nbd://HOST[:PORT]/EXPORT, or with nbds for TLS, and in the query
tls-certificates=DIR, which has ca-cert.pem.
"""
import argparse, os, random, socket, ssl, struct, sys, threading, time, traceback
from urllib.parse import urlparse, parse_qs, unquote

NBDMAGIC, IHAVEOPT, REPMAGIC = 0x4e42444d41474943, 0x49484156454F5054, 0x3e889045565a9
REQ, SIMPLE, STRUCT = 0x25609513, 0x67446698, 0x668e33ef
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED, LIST_META, SET_META = 1, 2, 3, 5, 6, 7, 8, 9, 10
ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
ERR_UNSUP, ERR_POLICY, ERR_INVALID, ERR_TLS_REQD, ERR_UNKNOWN, ERR_TOO_BIG = (0x80000001, 0x80000002,
    0x80000003, 0x80000005, 0x80000006, 0x80000009)
READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
F_FUA, F_NO_HOLE, F_DF, F_REQ_ONE, F_FAST_ZERO = 1, 2, 4, 8, 16
HAS_FLAGS, READ_ONLY, SEND_DF, MULTI_CONN, SEND_CACHE = 1, 2, 1 << 7, 1 << 8, 1 << 10
EPERM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP = 1, 22, 28, 75, 95

class Closed(Exception): pass

class Conn:
    def __init__(self, args, timeout=20):
        self.a = args
        if args.sock:
            self.s = socket.socket(socket.AF_UNIX); self.s.settimeout(timeout); self.s.connect(args.sock)
        else:
            self.s = socket.create_connection((args.host, args.port), timeout)
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.structured = False; self.cookie = 0; self.info = {}; self.size = self.flags = None
    def __enter__(self): return self
    def __exit__(self, *e): self.s.close()
    def recv(self, n):
        b = bytearray()
        while len(b) < n:
            try: c = self.s.recv(min(n - len(b), 1 << 20))
            except (ConnectionError, ssl.SSLError): raise Closed()
            if not c: raise Closed()
            b += c
        return bytes(b)
    def send(self, b):
        try: self.s.sendall(b)
        except (ConnectionError, ssl.SSLError): raise Closed()
    def end_sending(self):
        socket.socket.shutdown(self.s, socket.SHUT_WR)      # that of a TLS socket would forget its keys
    def eof(self, limit=1 << 26):
        """True when the server closes; what it still sends is dropped."""
        got = 0
        try:
            while got < limit:
                c = self.s.recv(65536)
                if not c: return True
                got += len(c)
        except (ConnectionError, ssl.SSLError): return True
        except socket.timeout: return False
        return False
    def greet(self, flags=3):
        m, o, self.hs = struct.unpack(">QQH", self.recv(18))
        assert m == NBDMAGIC and o == IHAVEOPT, "greeting magic"
        assert self.hs & 1, "fixed newstyle is not offered"
        if flags is not None: self.send(struct.pack(">I", flags))
        if self.a.tls and flags in (1, 3): self.start_tls()
        return self
    def start_tls(self):
        self.opt(STARTTLS); t = self.rep()[1]
        assert t == ACK, "STARTTLS: %x" % t
        self.s = self.a.tls.wrap_socket(self.s, server_hostname=self.a.host or "localhost")
    def opt(self, opt, data=b"", length=None):
        self.send(struct.pack(">QII", IHAVEOPT, opt, len(data) if length is None else length) + data)
    def rep(self):
        m, o, t, n = struct.unpack(">QIII", self.recv(20))
        assert m == REPMAGIC, "reply magic %x" % m
        return o, t, self.recv(n)
    def negotiate_structured(self):
        self.opt(STRUCTURED); o, t, d = self.rep()
        self.structured = t == ACK
        return self.structured
    def go(self, name=None, infos=(3,), opt=GO):
        n = (self.a.export if name is None else name).encode()
        self.opt(opt, struct.pack(">I", len(n)) + n + struct.pack(">H", len(infos)) + b"".join(struct.pack(">H", i) for i in infos))
        while True:
            o, t, d = self.rep()
            assert o == opt
            if t == ACK: return ACK
            if t & 0x80000000: return t
            assert t == REP_INFO, "reply type %x" % t
            k, = struct.unpack(">H", d[:2])
            self.info[k] = d[2:]
            if k == 0: self.size, self.flags = struct.unpack(">QH", d[2:12])
    def meta(self, ctx="base:allocation", opt=SET_META):
        n = self.a.export.encode(); c = ctx.encode()
        self.opt(opt, struct.pack(">I", len(n)) + n + struct.pack(">II", 1, len(c)) + c)
        ids = {}
        while True:
            o, t, d = self.rep()
            if t == ACK: return ids
            if t & 0x80000000: return None
            ids[d[4:].decode()] = struct.unpack(">I", d[:4])[0]
    def open(self, structured=False, meta=False):
        self.greet()
        if structured: self.negotiate_structured()
        if meta: self.ids = self.meta()
        r = self.go(); assert r == ACK, "GO: %x" % r
        return self
    def req(self, cmd, off=0, n=0, flags=0, data=b"", magic=REQ):
        self.cookie += 1
        self.send(struct.pack(">IHHQQI", magic, flags, cmd, self.cookie, off, n) + data)
        return self.cookie
    def reply(self, want=None):
        """-> cookie, error, data or list of chunks; want: {cookie: length} for simple read replies"""
        m, = struct.unpack(">I", self.recv(4))
        if m == SIMPLE:
            e, c = struct.unpack(">IQ", self.recv(12))
            return c, e, (self.recv(want[c]) if want and c in want and not e else b"")
        assert m == STRUCT, "reply magic %x" % m
        assert self.structured, "structured reply without negotiation"
        f, t, c, n = struct.unpack(">HHQI", self.recv(16))
        return c, f, t, self.recv(n)
    def read(self, off, n, flags=0):
        c = self.req(READ, off, n, flags)
        return self.finish_read(c, off, n)
    def finish_read(self, c, off, n, chunks=None):
        if not self.structured:
            k, e, d = self.reply({c: n}); assert k == c, "cookie"
            return e, d
        buf, seen, err, count = bytearray(n), 0, 0, 0
        while True:
            r = self.reply()
            if len(r) == 3:
                assert r[1], "simple success reply to a read after structured replies"
                return r[1], b""
            k, f, t, d = r
            assert k == c
            if t == 1: o, = struct.unpack(">Q", d[:8]); buf[o - off:o - off + len(d) - 8] = d[8:]; seen += len(d) - 8; count += 1; assert off <= o and o + len(d) - 8 <= off + n
            elif t == 2: o, h = struct.unpack(">QI", d); assert off <= o and o + h <= off + n; seen += h; count += 1
            elif t & 0x8000: err, = struct.unpack(">I", d[:4])
            else: assert t == 0, "chunk type %d" % t
            if f & 1: break
        if not err: assert seen == n, "chunks cover %d of %d" % (seen, n)
        self.chunks = count
        return err, bytes(buf)
    def simple_error(self, c):
        r = self.reply({})
        if len(r) == 3: assert r[0] == c; return r[1]
        k, f, t, d = r; assert k == c and f & 1
        return struct.unpack(">I", d[:4])[0] if t & 0x8000 else 0
    def disc(self): self.req(DISC)

p = argparse.ArgumentParser()
p.add_argument("uri"); p.add_argument("image")
p.add_argument("--only", action="append", default=[]); p.add_argument("--writable", action="store_true")
p.add_argument("--pid", type=int)
A = p.parse_args()
u = urlparse(A.uri)
A.sock = parse_qs(u.query).get("socket", [None])[0]
A.tls = None
if u.scheme.startswith("nbds"):
    A.tls = ssl.create_default_context(cafile=parse_qs(u.query)["tls-certificates"][0] + "/ca-cert.pem")
A.host, A.port = u.hostname, u.port or 10809
A.export = unquote(u.path[1:])
SIZE = os.stat(A.image).st_size
IMG = open(A.image, "rb")
def ref(off, n): return os.pread(IMG.fileno(), n, off)
R = random.Random(1)
MAXREQ = 32 << 20
def alive():
    with Conn(A) as c:
        c.open(); n = min(4096, SIZE); e, d = c.read(0, n)
        assert e == 0 and d == ref(0, n), "the server no longer serves"; c.disc()
class Skip(Exception): pass
TESTS = []
def test(f): TESTS.append(f); return f

@test
def size_and_flags():
    with Conn(A) as c:
        c.open()
        assert c.size == SIZE, "size %d, image %d" % (c.size, SIZE)
        assert c.flags & HAS_FLAGS
        assert bool(c.flags & READ_ONLY) != A.writable, "read-only flag"
        return "flags %#x%s" % (c.flags, " min/pref/max %d/%d/%d" % struct.unpack(">III", c.info[3]) if 3 in c.info else "")
@test
def multi_conn_flag():
    with Conn(A) as c: c.open(); assert c.flags & MULTI_CONN, "NBD_FLAG_CAN_MULTI_CONN is not set"
@test
def block_size_info():
    with Conn(A) as c:
        c.open(); assert 3 in c.info, "no NBD_INFO_BLOCK_SIZE though asked for"
        lo, pref, hi = struct.unpack(">III", c.info[3])
        assert lo & (lo - 1) == 0 and pref & (pref - 1) == 0 and lo <= pref <= hi and hi >= min(SIZE, MAXREQ)
@test
def export_name_old_way():
    for flags, pad in ((3, 0), (1, 124)):
        with Conn(A) as c:
            c.greet(flags); c.opt(EXPORT_NAME, A.export.encode())
            s, f = struct.unpack(">QH", c.recv(10)); assert s == SIZE
            if pad: assert c.recv(pad) == bytes(pad)
            e, d = c.read(0, 512); assert (e, d) == (0, ref(0, 512)); c.disc()
@test
def info_then_go():
    with Conn(A) as c:
        c.greet(); assert c.go(opt=INFO) == ACK and c.size == SIZE
        assert c.go() == ACK; assert c.read(0, 512) == (0, ref(0, 512))
@test
def list_exports():
    with Conn(A) as c:
        c.greet(); c.opt(LIST); names = []
        while True:
            o, t, d = c.rep()
            if t == ACK: break
            assert t == REP_SERVER, "LIST: %x" % t
            n, = struct.unpack(">I", d[:4]); names.append(d[4:4 + n].decode())
        assert A.export in names, names
        return "%r" % names
@test
def list_with_payload_is_invalid():
    with Conn(A) as c: c.greet(); c.opt(LIST, b"abcd"); assert c.rep()[1] & 0x80000000; assert c.go() == ACK
@test
def unknown_option():
    with Conn(A) as c: c.greet(); c.opt(0x7ffffff, b"xyz"); assert c.rep()[1] == ERR_UNSUP; assert c.go() == ACK
@test
def wrong_export_go():
    with Conn(A) as c:
        c.greet(); t = c.go("no-such-export-\u00e9"); assert t == ERR_UNKNOWN, "%x" % t
        assert c.go() == ACK, "connection is unusable after ERR_UNKNOWN"
@test
def wrong_export_old_way():
    with Conn(A) as c: c.greet(); c.opt(EXPORT_NAME, b"no-such-export"); assert c.eof()
@test
def long_export_name():
    with Conn(A) as c:
        c.greet()
        try: t = c.go("x" * 5000); assert t & 0x80000000
        except Closed: pass
    alive()
@test
def option_abort():
    with Conn(A) as c:
        c.greet(); c.opt(ABORT)
        try: assert c.rep()[1] == ACK
        except Closed: return "closed without ACK (allowed)"
        assert c.eof()
@test
def option_too_long():
    for n in (1 << 20, 1 << 28, 0xffffffff):
        with Conn(A) as c:
            c.greet(); c.opt(INFO, b"", length=n)
            c.s.settimeout(5)
            try:
                c.send(bytes(65536)); c.end_sending()
                o, t, d = c.rep(); assert t & 0x80000000, "accepted"
            except (Closed, OSError): pass
            except socket.timeout: raise AssertionError("neither reply nor close for option length %d" % n)
    alive()
@test
def option_truncated_inside():
    for data in (b"", b"\0\0", struct.pack(">I", 100) + b"abc", struct.pack(">IH", 0, 500), struct.pack(">I", 0xffffffff) + b"abc\0\0"):
        with Conn(A) as c:
            c.greet(); c.opt(GO, data)
            try: assert c.rep()[1] & 0x80000000
            except Closed: pass
    alive()
@test
def garbage_handshake():
    for n in (1, 4, 16, 1000, 100000):
        with Conn(A) as c:
            c.greet(None)
            try: c.send(bytes(R.randrange(256) for _ in range(n))); c.end_sending()
            except (Closed, OSError): pass
            assert c.eof(), "still open after garbage"
    alive()
@test
def bad_option_magic():
    with Conn(A) as c: c.greet(); c.send(struct.pack(">QII", 0x1122334455667788, GO, 0)); assert c.eof(), "still open"
    alive()
@test
def unknown_client_flags():
    with Conn(A) as c:
        try: c.greet(0x80000003); c.s.settimeout(5); c.opt(ABORT)
        except Closed: return
        assert c.eof(), "still open"
@test
def plain_is_refused():
    if not A.tls: raise Skip("the server does not want TLS")
    certs, A.tls = A.tls, None
    try:
        for o in (LIST, GO, INFO, STRUCTURED):
            with Conn(A) as c:
                c.greet(); c.opt(o, b"" if o in (LIST, STRUCTURED) else struct.pack(">IH", 0, 0))
                t = c.rep()[1]; assert t == ERR_TLS_REQD, "option %d: %x" % (o, t)
        with Conn(A) as c:
            c.greet(); c.opt(EXPORT_NAME); assert c.eof(), "the old way is open"
        with Conn(A) as c:
            c.greet(); c.opt(STARTTLS, b"x"); t = c.rep()[1]; assert t == ERR_INVALID, "%x" % t
            c.opt(ABORT); assert c.rep()[1] == ACK
        with Conn(A) as c:
            c.greet(); c.send(struct.pack(">QIIQII", IHAVEOPT, STARTTLS, 0, IHAVEOPT, LIST, 0))
            assert c.eof(), "what came before the handshake is taken for what came after"
        with Conn(A) as c:
            c.greet(); c.opt(STARTTLS); assert c.rep()[1] == ACK; c.send(b"no TLS at all" * 9); assert c.eof()
    finally: A.tls = certs
@test
def starttls_again_or_without_tls():
    with Conn(A) as c:
        c.greet(); c.opt(STARTTLS); t = c.rep()[1]
        assert t in ((ERR_INVALID,) if A.tls else (ERR_UNSUP, ERR_POLICY)), "%x" % t
        assert c.go() == ACK
@test
def out_of_range():
    for s in (False, True):
        with Conn(A) as c:
            c.open(structured=s)
            for off, n in ((SIZE, 1), (SIZE, 512), (SIZE - 256, 512), (1 << 62, 4096), ((1 << 64) - 512, 1024), (SIZE + (1 << 40), 4096)):
                e, _ = c.read(off, n); assert e == EINVAL, "read %d+%d: error %d" % (off, n, e)
            assert c.read(SIZE - 512, 512) == (0, ref(SIZE - 512, 512)), "the connection did not survive"; c.disc()
@test
def unaligned_reads():
    for s in (False, True):
        with Conn(A) as c:
            c.open(structured=s)
            for _ in range(200):
                n = R.choice((1, 3, 511, 513, 4095, 4097, 65535, R.randrange(1, 300000))); n = min(n, SIZE)
                o = R.randrange(0, SIZE - n + 1); e, d = c.read(o, n)
                assert e == 0 and d == ref(o, n), "%d+%d" % (o, n)
            c.disc()
@test
def largest_request():
    n = min(MAXREQ, SIZE)
    for s in (False, True):
        with Conn(A) as c: c.open(structured=s); assert c.read(0, n) == (0, ref(0, n)); c.disc()
    return "%d bytes" % n
@test
def over_large_request():
    if SIZE <= 80 << 20: raise Skip("image under 80 MiB")
    what = ""
    with Conn(A) as c:
        c.open()
        try:
            e, d = c.read(0, (64 << 20) + 4096)
            what = "served" if not e else "error %d" % e
            if e: assert c.read(0, 512) == (0, ref(0, 512)), "the connection did not survive"
        except Closed: what = "closed"
    alive(); return what
@test
def huge_length():
    with Conn(A) as c:
        c.open(); c.req(READ, 0, 0xffffffff); c.s.settimeout(10)
        try: r = c.reply({}); assert r[1], "accepted 4 GiB"
        except Closed: pass
    alive()
@test
def zero_length():
    with Conn(A) as c:
        c.open(); e, d = c.read(0, 0); assert e in (0, EINVAL); assert c.read(0, 512)[0] == 0
        return "error %d" % e
@test
def pipelined():
    for s in (False, True):
        with Conn(A) as c:
            c.open(structured=s); want = {}; where = {}; order = []; batch = []
            for _ in range(256):
                n = R.randrange(1, 8192); o = R.randrange(0, SIZE - n); c.cookie += 1; k = c.cookie; want[k] = n; where[k] = o
                batch.append(struct.pack(">IHHQQI", REQ, 0, READ, k, o, n))
            # one write: a server may stop reading while replies wait to be sent
            w = threading.Thread(target=c.send, args=(b"".join(batch),)); w.start()
            got = {k: bytearray(n) for k, n in want.items()}; left = set(want)
            while left:
                r = c.reply(want)
                if len(r) == 3: k, e, d = r; assert not e; got[k][:] = d; left.discard(k); order.append(k)
                else:
                    k, f, t, d = r; assert not t & 0x8000
                    if t == 1: o, = struct.unpack(">Q", d[:8]); got[k][o - where[k]:o - where[k] + len(d) - 8] = d[8:]
                    if f & 1: left.discard(k); order.append(k)
            for k in want: assert bytes(got[k]) == ref(where[k], want[k]), "cookie %d" % k
            c.disc()
    return "out of order: %s" % (order != sorted(order))
@test
def structured_replies():
    with Conn(A) as c:
        c.greet(); assert c.negotiate_structured(), "not offered"
        assert c.go() == ACK
        n = min(4 << 20, SIZE); e, d = c.read(0, n); assert e == 0 and d == ref(0, n)
        k = c.chunks
        if c.flags & SEND_DF:
            e, d = c.read(0, min(65536, SIZE), F_DF); assert e == 0 and c.chunks == 1, "DF read came in %d chunks" % c.chunks
        return "%d chunks for %d bytes, DF %s" % (k, n, "yes" if c.flags & SEND_DF else "not offered")
@test
def holes_in_reads():
    with Conn(A) as c:
        c.open(structured=True); z = None
        for o in range(0, SIZE - (1 << 20), 1 << 20):
            if ref(o, 1 << 20).count(0) == 1 << 20: z = o; break
        if z is None: raise Skip("no zero MiB in the image")
        c.req(READ, z, 1 << 20); r = c.reply()
        return "1 MiB of zeros comes as chunk type %d, %d bytes" % (r[2], len(r[3]))
@test
def block_status():
    with Conn(A) as c:
        c.open(structured=True, meta=True); assert c.ids and "base:allocation" in c.ids, "no base:allocation"
        def status(o, n, fl=0):
            k = c.req(BLOCK_STATUS, o, n, fl); r = c.reply()
            assert len(r) == 4 and r[0] == k, "no structured reply"
            if r[2] & 0x8000: c.err = struct.unpack(">I", r[3][:4])[0]; return None
            assert r[2] == 5 and struct.unpack(">I", r[3][:4])[0] == c.ids["base:allocation"]
            return [struct.unpack(">II", r[3][i:i + 8]) for i in range(4, len(r[3]), 8)]
        o = 0; zero = 0; n_ext = 0
        while o < SIZE:
            n = min(SIZE - o, 1 << 30); ex = status(o, n); assert ex, "empty"
            for i, (l, f) in enumerate(ex):
                assert l > 0; n_ext += 1
                assert o < SIZE
                if f & 2:
                    l2 = min(l, SIZE - o); zero += l2
                    for q in range(o, o + l2, 1 << 20):
                        b = ref(q, min(1 << 20, o + l2 - q)); assert b.count(0) == len(b), "said zero at %d" % q
                o += l
        one = status(0, min(SIZE, 1 << 20), F_REQ_ONE); assert len(one) == 1 and one[0][0] <= min(SIZE, 1 << 20), one
        mid = status(12345 & ~511, 512); assert mid
        assert status(SIZE, 512) is None and c.err == EINVAL; assert c.read(0, 512)[0] == 0
        c.disc(); return "%d extents, %d bytes zero" % (n_ext, zero)
@test
def block_status_not_negotiated():
    with Conn(A) as c:
        c.open(structured=True); k = c.req(BLOCK_STATUS, 0, 4096); assert c.simple_error(k) == EINVAL; assert c.read(0, 512)[0] == 0
@test
def meta_list():
    with Conn(A) as c:
        c.greet(); c.negotiate_structured(); ids = c.meta("base:", LIST_META); assert ids and "base:allocation" in ids, ids
        ids = c.meta("nonsense:thing", LIST_META); assert ids == {} or ids is None
@test
def write_to_read_only():
    if A.writable: raise Skip("writable")
    with Conn(A) as c:
        c.open()
        k = c.req(WRITE, 0, 65536, data=bytes(65536)); assert c.simple_error(k) in (EPERM, EINVAL)
        assert c.read(0, 512) == (0, ref(0, 512)), "the connection did not survive"
        for cmd in (TRIM, WRITE_ZEROES): k = c.req(cmd, 0, 4096); assert c.simple_error(k) in (EPERM, EINVAL, ENOTSUP)
        assert c.read(0, 512) == (0, ref(0, 512)); c.disc()
class Changed:
    """A connection to a writable export whose range has its old bytes again in the end."""
    def __init__(self, o, n, **k):
        if not A.writable: raise Skip("read-only")
        self.o, self.n, self.k = o, n, k
    def __enter__(self): self.c = Conn(A, 60); self.c.open(**self.k); return self.c
    def __exit__(self, *e):
        self.c.s.close()
        with Conn(A, 60) as c: c.open(); assert done(c, WRITE, self.o, self.n, data=ref(self.o, self.n)) == 0
def done(c, cmd, o, n, flags=0, data=b""): return c.simple_error(c.req(cmd, o, n, flags=flags, data=data))
@test
def writes():
    with Changed(0, 1 << 20, structured=True) as c:
        want = bytearray(ref(0, 1 << 20)); r = random.Random(5)
        for i in range(300):
            o = r.randrange(0, 1 << 20); n = r.randrange(1, min(20000, (1 << 20) - o) + 1); b = r.randbytes(n)
            assert done(c, WRITE, o, n, r.choice((0, 0, F_FUA)), b) == 0; want[o:o + n] = b
            o = r.randrange(0, 1 << 20); n = r.randrange(1, (1 << 20) - o + 1); assert c.read(o, n) == (0, bytes(want[o:o + n])), i
        with Conn(A) as d: d.open(); assert d.read(0, 1 << 20) == (0, bytes(want)), "not seen by another connection"
@test
def largest_write():
    n = min(SIZE, MAXREQ)
    with Changed(0, n) as c: assert done(c, WRITE, 0, n, data=b"\x5a" * n) == 0; assert c.read(n - 9, 9) == (0, b"\x5a" * 9)
@test
def over_large_write():
    with Changed(0, 512) as c:
        try: c.req(WRITE, 0, MAXREQ + 512, data=b"x"); c.send(bytes(MAXREQ + 511)); assert c.simple_error(1) == EINVAL
        except Closed: pass
    alive()
@test
def writes_out_of_range():
    with Changed(0, 512) as c:
        for o, n in ((SIZE, 512), (SIZE - 256, 512), (1 << 63, 1), ((1 << 64) - 1, 2)):
            for cmd in (WRITE, TRIM, WRITE_ZEROES):
                e = done(c, cmd, o, n, data=bytes(n if cmd == WRITE else 0)); assert e in (ENOSPC, EINVAL), (cmd, o, e)
        for cmd in (WRITE, TRIM, WRITE_ZEROES): assert done(c, cmd, 0, 0) in (0, EINVAL)
        assert c.read(0, 512) == (0, ref(0, 512)), "the connection did not survive"
@test
def zeros_and_trims():
    with Changed(0, 1 << 20, structured=True, meta=True) as c:
        want = bytearray(b"\x11" * (1 << 20)); assert done(c, WRITE, 0, 1 << 20, data=bytes(want)) == 0
        for o, n, fl in ((100, 50, 0), (4096, 8192, 0), (20000, 30000, F_FUA), (65536, 65536, F_NO_HOLE), (150000, 70000, F_NO_HOLE | F_FUA)):
            assert done(c, WRITE_ZEROES, o, n, fl) == 0; want[o:o + n] = bytes(n)
            assert c.read(0, 1 << 20) == (0, bytes(want)), (o, n)
        assert done(c, WRITE_ZEROES, 300000, 100000, F_FAST_ZERO) in (0, ENOTSUP); want[300000:400000] = c.read(300000, 100000)[1]
        assert want[300000:400000] in (bytes(100000), b"\x11" * 100000)
        assert done(c, TRIM, 524288, 131072) == 0; b = c.read(524288, 131072)[1]; assert b in (bytes(131072), b"\x11" * 131072)
        assert done(c, TRIM, 700001, 99) == 0; assert c.read(700000, 200)[0] == 0
        assert done(c, TRIM, 0, 512, F_NO_HOLE) == EINVAL and done(c, WRITE, 0, 1, F_NO_HOLE, b"x") == EINVAL
@test
def pipelined_writes():
    with Changed(0, 8 << 20) as c:
        want = {c.req(WRITE, i * 65536, 65536, data=bytes([i]) * 65536): 0 for i in range(128)}
        for _ in range(128): k, e, d = c.reply(want); assert not e
        assert done(c, FLUSH, 0, 0) == 0
        assert c.read(0, 8 << 20) == (0, b"".join(bytes([i]) * 65536 for i in range(128)))
@test
def killed_in_a_write():
    if not A.writable: raise Skip("read-only")
    for n in (1, 100000):
        with Conn(A) as c: c.open(); c.send(struct.pack(">IHHQQI", REQ, 0, WRITE, 1, 0, MAXREQ)); c.send(b"x" * n)
    with Conn(A) as c: c.open(); assert c.read(0, 4096) == (0, ref(0, 4096)), "half a write was taken"
@test
def unknown_command():
    with Conn(A) as c: c.open(); k = c.req(77, 0, 0); assert c.simple_error(k) in (EINVAL, ENOTSUP); assert c.read(0, 512)[0] == 0
@test
def unknown_command_flags():
    with Conn(A) as c:
        c.open(); k = c.req(READ, 0, 512, flags=0x8000)
        r = c.reply({k: 512}); assert r[1] == EINVAL, "accepted (error %d)" % r[1]; assert c.read(0, 512)[0] == 0
@test
def bad_request_magic():
    with Conn(A) as c: c.open(); c.req(READ, 0, 512, magic=0x11111111); c.s.settimeout(5); assert c.eof(), "still open"
    alive()
@test
def flush():
    with Conn(A) as c: c.open(); k = c.req(FLUSH); e = c.simple_error(k); assert e in (0, EINVAL, ENOTSUP); assert c.read(0, 512)[0] == 0; return "error %d" % e
@test
def cache_command():
    with Conn(A) as c:
        c.open()
        if not c.flags & SEND_CACHE: raise Skip("not offered")
        k = c.req(CACHE, 0, min(SIZE, 1 << 20)); assert c.simple_error(k) == 0; assert c.read(0, 512)[0] == 0
@test
def soft_disconnect():
    with Conn(A) as c:
        c.open(); want = {c.req(READ, i * 4096, 4096): 4096 for i in range(8) if (i + 1) * 4096 <= SIZE}; c.disc(); n = len(want)
        for _ in range(n): k, e, d = c.reply(want); assert not e and d == ref((k - 1) * 4096, 4096)
        assert c.eof()
@test
def many_connections():
    N, errs = 32, []
    def one(i):
        r = random.Random(i)
        try:
            with Conn(A, 60) as c:
                c.open(structured=bool(i & 1))
                for _ in range(20):
                    n = min(SIZE, r.randrange(1, 65536)); o = r.randrange(0, SIZE - n + 1); assert c.read(o, n) == (0, ref(o, n))
                c.disc()
        except BaseException as e: errs.append(repr(e))
    t = [threading.Thread(target=one, args=(i,)) for i in range(N)]; [x.start() for x in t]; [x.join() for x in t]
    assert not errs, errs[:3]
    return "%d" % N
@test
def idle_connections():
    idle = []
    try:
        for _ in range(64): idle.append(Conn(A))
        alive()
    finally: [c.s.close() for c in idle]
@test
def slow_reader():
    n = min(SIZE, 1 << 20)
    with Conn(A, 60) as c:
        c.open(); want = {}
        for _ in range(64): want[c.req(READ, 0, n)] = n
        time.sleep(1); alive()                         # others are served meanwhile
        r = ref(0, n)
        for _ in range(64): k, e, d = c.reply(want); assert not e and d == r
        c.disc()
@test
def half_closed():
    with Conn(A) as c:
        c.open(); k = c.req(READ, 0, 4096); c.end_sending()
        try: r = c.reply({k: 4096}); assert r[1] == 0; return "answered"
        except Closed: return "dropped (allowed)"
@test
def abrupt_close():
    for i in range(30):
        with Conn(A) as c:
            if i % 5 == 0: continue
            if i % 5 == 1: c.greet(); c.send(b"IHAVE"); continue
            c.open(structured=bool(i & 1))
            if i % 5 == 2: c.send(struct.pack(">IHH", REQ, 0, READ))
            elif i % 5 == 3: [c.req(READ, 0, min(SIZE, MAXREQ)) for _ in range(4)]
            else:
                c.req(READ, 0, min(SIZE, MAXREQ)); c.recv(1000)
                c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    alive()
@test
def nothing_leaks():
    if not A.pid: raise Skip("no --pid")
    def n(): return len(os.listdir("/proc/%d/fd" % A.pid))
    def rss(): return int(open("/proc/%d/statm" % A.pid).read().split()[1]) * 4
    time.sleep(0.5); before = n(); r0 = rss()
    for _ in range(50):
        with Conn(A) as c: c.open(); c.req(READ, 0, min(SIZE, 1 << 20))
    alive(); time.sleep(1)
    assert n() <= before + 2, "%d descriptors, before %d" % (n(), before)
    return "%d descriptors, rss %d -> %d KiB" % (n(), r0, rss())

bad = k = 0
names = [t.__name__ for t in TESTS]
run = [t for t in TESTS if not A.only or t.__name__ in A.only]
for t in run:
    k += 1; name = t.__name__.replace("_", "-")
    try: r = t(); print("ok %d - %s%s" % (k, name, " (%s)" % r if r else ""), flush=True)
    except Skip as e: print("ok %d - %s # SKIP %s" % (k, name, e), flush=True)
    except BaseException as e:
        bad += 1
        print("not ok %d - %s: %s%s" % (k, name, type(e).__name__, ": %s" % e if str(e) else ""), flush=True)
        if os.environ.get("NBD_DEBUG"): traceback.print_exc()
        else: print("# line %d" % traceback.extract_tb(e.__traceback__)[-1].lineno)
print("1..%d" % k)
sys.exit(bad > 0)
