#!/usr/bin/env python3
"""What servers lose when they are stopped at the other end of a long link: the drill, in a network
namespace of its own, with every packet delayed and some lost on the way.

    cargo build --release -p farewell-cli
    cargo build --release --locked --manifest-path benches/peers/Cargo.toml --target-dir benches/peers/target
    (cd benches/peers/go && go build -o ../target/release/go-http main.go)
    sudo python3 benches/operating/wan.py [--rtt 50,200] [--loss 1] [--rounds 10] [--only farewell,go]

It needs Linux, root, and `ip`, `unshare` and `nsenter`. Two network namespaces hold an end of a TUN
device each, and this program carries the packets between them: it delays each by half of the round
trip, and loses some at random, in both directions. No network of the machine is touched, and the
namespaces end with the program. Servers that are not built or installed are left out.
"""

import argparse
import collections
import ctypes
import fcntl
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PEERS = TOP / "benches/peers"

# linux/if_tun.h, linux/sched.h
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
CLONE_NEWNET = 0x40000000

CLIENT = "10.99.0.1"
SERVER = "10.99.0.2"
PORT = 8080

# Packets on their way in one direction. Further ones are lost, as in a router.
QUEUE_MAX = 20_000


class Namespace:
    """A network namespace with a TUN device. It lives as long as a process in it."""

    def __init__(self, own, other):
        # `cat` ends with this program, because that closes its stdin.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.path = f"/proc/{self.holder.pid}/ns/net"
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(self.path) == here:
            if self.holder.poll() is not None:
                sys.exit("cannot make a network namespace: run as root")
            time.sleep(0.005)
        self.device = tun_in(self.path)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "wan", "up", "mtu", "1500", "txqueuelen", "10000")
        self.run("ip", "address", "add", own, "peer", other, "dev", "wan")

    def words(self, *words):
        """A command that becomes the given one, in this namespace."""
        return ["nsenter", f"--net={self.path}", *words]

    def run(self, *words):
        subprocess.run(self.words(*words), check=True)

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()


def tun_in(namespace):
    """The file of a new TUN device in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        with open(path) as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")

    # The namespace of this thread alone.
    here = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    with open(here) as back:
        enter(namespace)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"wan", IFF_TUN | IFF_NO_PI))
        if libc.setns(back.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
    return device


class Link:
    """Carries packets between two TUN devices, until it is closed."""

    def __init__(self, devices, delay, loss, seed):
        self.delay, self.loss = delay, loss
        self.random = random.Random(seed)
        self.carried = self.lost = 0
        self.end, end = os.pipe()
        self.closing = end
        # From each device, to the other: packets with the time at which they arrive.
        self.queues = {
            device: (other, collections.deque()) for device, other in zip(devices, devices[::-1])
        }
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def carry(self):
        # Before other processes, so that no delay of a busy machine adds to that of the link.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        poll = select.poll()
        poll.register(self.end, select.POLLIN)
        for device in self.queues:
            poll.register(device, select.POLLIN)
        while True:
            now = time.monotonic()
            due = [queue[0][0] for _, queue in self.queues.values() if queue]
            wait = max(0, min(due) - now) * 1000 if due else None
            for ready, _ in poll.poll(wait):
                if ready == self.end:
                    return
                self.take(ready)
            self.deliver()

    def take(self, device):
        _, queue = self.queues[device]
        try:
            while True:
                packet = os.read(device, 65536)
                if self.random.random() < self.loss or len(queue) >= QUEUE_MAX:
                    self.lost += 1
                    continue
                queue.append((time.monotonic() + self.delay, packet))
        except BlockingIOError:
            pass

    def deliver(self):
        now = time.monotonic()
        for other, queue in self.queues.values():
            while queue and queue[0][0] <= now:
                _, packet = queue.popleft()
                try:
                    os.write(other, packet)
                    self.carried += 1
                except BlockingIOError:
                    self.lost += 1
                except OSError:
                    # The device is down: its namespace ends.
                    self.lost += 1

    def close(self):
        os.write(self.closing, b".")
        self.thread.join()


def servers(program):
    """The signal, the path of a POST, and the command of each."""
    address = ["--port", str(PORT), "--address", SERVER]
    release = PEERS / "target/release"
    return {
        "farewell": ("TERM", "/echo", [program, "--listen", f"{SERVER}:{PORT}"]),
        "axum": ("TERM", "/echo", [release / "axum", *address]),
        "actix": ("TERM", "/echo", [release / "actix", *address]),
        "hyper": ("TERM", "/echo", [release / "hyper", *address]),
        "go": ("TERM", "/echo", [release / "go-http", *address]),
        "node": ("TERM", "/echo", ["node", PEERS / "node/server.js", *address]),
        "nginx": ("QUIT", None, [PEERS / "nginx/run.sh", *address]),
    }


def is_there(name, command):
    program = "nginx" if name == "nginx" else command[0]
    return shutil.which(str(program)) is not None


def drill(options, client, server, how, mode, path, seed):
    """The totals of the drill in one mode."""
    signal, _, command = how
    words = client.words(
        options.program,
        "drill",
        "--json",
        "--allow-remote",
        "--url",
        f"http://{SERVER}:{PORT}{path}",
        "--rounds",
        str(options.rounds),
        "--clients",
        str(options.clients),
        "--mode",
        mode,
        "--load-for",
        options.load_for,
        "--stop",
        signal,
        "--seed",
        str(seed),
        "--",
        *server.words(*map(str, command)),
    )
    run = subprocess.run(words, stdout=subprocess.PIPE)
    try:
        return json.loads(run.stdout)
    except ValueError:
        return None


def measure(options, rtt):
    """The rows of the table for one round trip."""
    rows = []
    for name, how in servers(options.program).items():
        if options.only and name not in options.only:
            continue
        if not is_there(name, how[2]):
            print(f"{name} is left out: {how[2][0]} is not there", file=sys.stderr)
            continue
        for mode in options.mode:
            path = how[1] if mode == "post" else options.path
            if path is None:
                continue
            client = Namespace(CLIENT, SERVER)
            server = Namespace(SERVER, CLIENT)
            link = Link([client.device, server.device], rtt / 2000, options.loss / 100, options.seed)
            try:
                result = drill(options, client, server, how, mode, path, options.seed)
            finally:
                link.close()
                for namespace in client, server:
                    os.close(namespace.device)
                    namespace.close()
            row = (name, mode, result, link)
            rows.append(row)
            print(*cells(rtt, row), sep="\t", file=sys.stderr, flush=True)
            if options.keep and result:
                file = Path(options.keep) / f"{name}-{mode}-{rtt}.json"
                file.write_text(json.dumps(result, indent=1))
    return rows


def cells(rtt, row):
    name, mode, result, _ = row
    totals = result and result["totals"].get(mode)
    if not totals:
        return [f"{rtt} ms", name, mode, "failed", "", "", "", ""]
    return [
        f"{rtt} ms",
        name,
        mode,
        totals["rounds"],
        totals["answered_after"],
        totals["lost"],
        totals["truncated"],
        totals["lost_per_stop"],
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    split = lambda text: text.split(",")
    parser.add_argument("--program", default=str(TOP / "target/release/farewell"))
    parser.add_argument("--rtt", default="50,200", help="round trips in ms (default %(default)s)")
    parser.add_argument("--loss", type=float, default=1, help="packets lost, in %% (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="stops of each (default %(default)s)")
    parser.add_argument("--clients", type=int, default=64, help="(default %(default)s)")
    parser.add_argument("--mode", type=split, default=["new", "keep-alive", "post"], help="modes of the drill")
    parser.add_argument("--path", default="/", help="what the clients get (default %(default)s)")
    parser.add_argument("--load-for", default="3s", help="(default %(default)s)")
    parser.add_argument("--only", type=split, default=[], help="these servers only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for the results of the drill")
    options = parser.parse_args()
    rows = [(rtt, row) for rtt in map(int, options.rtt.split(",")) for row in measure(options, rtt)]
    heads = "round trip", "server", "mode", "stops", "answered after the stop", "lost", "truncated", "lost per stop"
    print("| " + " | ".join(heads) + " |\n|---|---|---|---:|---:|---:|---:|---:|")
    for rtt, row in rows:
        print("| " + " | ".join(map(str, cells(rtt, row))) + " |")


if __name__ == "__main__":
    main()
