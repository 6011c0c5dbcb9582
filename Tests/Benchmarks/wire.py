#!/usr/bin/env python3
"""An update over a far and narrow link: ours, one HTTP/2 download of the same bytes, and casync in turn.

    wire.py CASYNC-SWIFT IMAGE [ROUNDS]

The link is a network namespace of its own behind tbf at 100 Mbit/s, and Tests/Faults/tcp-delay.py, which makes a round
trip of 50 ms of it. nginx serves there by TLS; casync, which does not know the certificate, is served without. As root.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RATE = "100mbit"
DELAY = 25                  # milliseconds in each direction
REFERENCE_SECONDS = 60      # casync is stopped after this, and its rate counts


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return done


class Link:
    """A namespace with nginx in it; the near end of the link is here."""

    def __init__(self, work):
        self.name = f"casync-wire-{os.getpid()}"
        self.near, self.far = f"cw{os.getpid()}n"[-15:], f"cw{os.getpid()}f"[-15:]
        self.children = []
        inside = ("ip", "netns", "exec", self.name)
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
        run("ip", "address", "add", "10.99.77.1/30", "dev", self.near)
        run("ip", "link", "set", self.near, "up")
        run(*inside, "ip", "address", "add", "10.99.77.2/30", "dev", self.far)
        run(*inside, "ip", "link", "set", self.far, "up")
        for device, prefix in ((self.far, inside), (self.near, ())):
            run(*prefix, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", RATE, "burst", "64kb",
                "latency", "100ms")
        self.children.append(subprocess.Popen([*inside, "nginx", "-p", work, "-c", f"{work}/nginx.conf"]))
        self.secure, self.plain = self.delayed(443), self.delayed(80)

    def delayed(self, port):
        """A port of this machine from which the way to the far one is long."""
        child = subprocess.Popen([sys.executable, f"{HERE}/../Faults/tcp-delay.py", str(port), f"delay={DELAY}", "host=10.99.77.2"],
                                 stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        return int(child.stderr.readline())

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        subprocess.run(["ip", "netns", "delete", self.name])


def publish(ours, image, work):
    """Index, store and one file of as many bytes; returns how many."""
    www = f"{work}/www"
    os.mkdir(www)
    run(ours, "make", f"{www}/image.caibx", image)
    total = os.path.getsize(f"{www}/image.caibx")
    with open(f"{www}/all", "wb") as target:
        shutil.copyfileobj(open(f"{www}/image.caibx", "rb"), target)
        for directory, _, names in os.walk(f"{www}/default.castr"):
            for name in names:
                with open(f"{directory}/{name}", "rb") as chunk:
                    shutil.copyfileobj(chunk, target)
                total += os.path.getsize(f"{directory}/{name}")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-keyout", f"{work}/key.pem", "-out", f"{work}/cert.pem", "-subj", "/CN=localhost", "-addext",
        "subjectAltName=DNS:localhost")
    temporary = " ".join(f"{name}_temp_path {work}/{name};" for name in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{work}/nginx.conf", "w") as file:
        file.write(f"""
          daemon off; master_process off; user root; pid {work}/pid; error_log {work}/error.log;
          events {{ worker_connections 512; }}
          http {{
            log_format sent '$bytes_sent'; access_log {work}/access.log sent; {temporary}
            root {www}; sendfile on; tcp_nopush on; keepalive_requests 1000000;
            server {{ listen 10.99.77.2:80; }}
            server {{ listen 10.99.77.2:443 ssl http2; ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; }}
          }}""")
    return total


def timed(command, **more):
    start = time.monotonic()
    done = run(*command, **more)
    return time.monotonic() - start, done


def reference_rate(work, port):
    """Bytes a second that casync gets."""
    open(f"{work}/access.log", "w").close()
    start = time.monotonic()
    subprocess.run(["timeout", str(REFERENCE_SECONDS), "casync", "extract", f"http://localhost:{port}/image.caibx",
                    f"{work}/theirs", "--seed-output=no"], capture_output=True)
    seconds = time.monotonic() - start
    with open(f"{work}/access.log") as lines:
        return sum(map(int, lines)) / seconds


def main():
    ours, image = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    work = tempfile.mkdtemp()
    run("mount", "-t", "tmpfs", "-o", "size=4g", "wire", work)
    link = None
    try:
        total = publish(ours, image, work)
        link = Link(work)
        curl = ["curl", "--silent", "--fail", "--http2", "--cacert", f"{work}/cert.pem", "--output", f"{work}/one",
                f"https://localhost:{link.secure}/all"]
        get = [ours, "get", "--json", "--state-dir=none", f"--cacert={work}/cert.pem",
               f"https://localhost:{link.secure}/image.caibx", f"{work}/image"]
        times = {"curl": [], "ours": []}
        for _ in range(rounds):
            times["curl"].append(timed(curl)[0])
            seconds, done = timed(get)
            times["ours"].append(seconds)
            run("cmp", image, f"{work}/image")
            os.remove(f"{work}/image")
        received = json.loads(done.stdout)["receivedBytes"]
        one, many = (statistics.median(times[name]) for name in ("curl", "ours"))
        theirs = total / reference_rate(work, link.plain)
        print(f"{total} bytes of index and chunks; received {received}, {received / total - 1:+.2%}")
        print(f"one HTTP/2 download by curl {one:.2f} s ({', '.join(f'{t:.2f}' for t in times['curl'])})")
        print(f"ours {many:.2f} s ({', '.join(f'{t:.2f}' for t in times['ours'])}), {many / one:.2f} times as long")
        print(f"casync {theirs:.0f} s at the rate of its first {REFERENCE_SECONDS} s, {theirs / many:.1f} times ours")
    finally:
        if link:
            link.close()
        run("umount", "--lazy", work)
        os.rmdir(work)


main()
