#!/usr/bin/env python3
"""Restarts three instances of a server in turn behind HAProxy or nginx, and counts the requests that fail.

    contrib/rolling/rolling.py                                  # farewell and other servers, as docs/load-balancers.md
    contrib/rolling/rolling.py --only farewell --proxy nginx    # a part of it
    contrib/rolling/rolling.py --proxy haproxy -- ./my-service --port {port}      # your service

Three instances run behind the proxy, with the file haproxy.cfg or nginx.conf beside this script; only its addresses
are replaced. Clients send one request after another: GET and POST, half of them over connections that are kept and
half over a new connection for each request. Meanwhile one instance after another gets SIGTERM, ends, is started
again at the same address, and is used again by the proxy before the next one is stopped. Each request that gets no
whole response, or one with another status than 2xx or with the wrong body, has failed. Nothing is sent twice.

The table goes to stdout, what happens meanwhile to stderr. The exit code is 0 if no request of farewell, or of your
service, failed; 1 if one did, or if an instance ended with another exit code than 0; 2 for wrong usage; 77 if
neither proxy is installed. It needs Linux and Python 3.8 or later, and listens on 127.0.0.1 only. Without COMMAND it
runs what these build, and leaves out what is not built:

    cargo build --release
    cargo build --release --manifest-path benches/peers/Cargo.toml
    (cd benches/peers/go && go build -o ../target/release/go-http main.go)
"""

import argparse
import contextlib
import csv
import multiprocessing
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PEERS = ROOT / "benches/peers"

REQUESTS = 200_000
RESTARTS = 12
EVERY = 5  # Seconds from the begin of a restart to that of the next.
CLIENTS = 32
NAMES = "abc"  # the instances, as in haproxy.cfg

SILENCE = 30  # Seconds after which a client gives a response up.
START = 10  # Seconds in which an instance, or the proxy, has to answer.
STOP = 60  # Seconds after which an instance that was asked to stop is killed.


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- Clients ---------------------------------------------------------------------------------------------------------


class Failed(Exception):
    """How a request failed, in the words of the table."""


class Connection:
    """One connection to the proxy, and the bytes that were read and not used yet."""

    def __init__(self, address):
        try:
            self.socket = socket.create_connection(address, SILENCE)
        except OSError as error:
            raise Failed(f"not connected: {error}") from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unused = b""

    def exchange(self, request):
        """Sends a request. Returns the status and the body of its response, and whether the connection stays open."""
        try:
            self.socket.sendall(request)
        except OSError:
            pass  # A response may have come before the connection was closed. If not, reading says how it ended.
        head = self.until(b"\r\n\r\n", "no response").lower()
        if not re.match(rb"http/1\.[01] \d{3} ", head):
            raise Failed("not a response")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        if b"\r\ntransfer-encoding: chunked" in head:
            body = b"".join(self.chunks())
        elif length:
            body = self.exactly(int(length[1]))
        else:
            raise Failed("a response without a length")
        stays = head.startswith(b"http/1.1") and b"\r\nconnection: close" not in head
        return int(head[9:12]), body, stays

    def chunks(self):
        while size := self.size_of_chunk():
            yield self.exactly(size + 2)[:-2]
        self.until(b"\r\n", "cut short")

    def size_of_chunk(self):
        line = self.until(b"\r\n", "cut short")
        try:
            return int(line.split(b";")[0], 16)
        except ValueError:
            raise Failed("not a chunk") from None

    def until(self, end, how):
        """The bytes up to the next `end`, and with it."""
        while (at := self.unused.find(end)) < 0:
            self.read("cut short" if self.unused else how)
        found, self.unused = self.unused[: at + len(end)], self.unused[at + len(end) :]
        return found

    def exactly(self, count):
        while len(self.unused) < count:
            self.read("cut short")
        found, self.unused = self.unused[:count], self.unused[count:]
        return found

    def read(self, how):
        try:
            more = self.socket.recv(65_536)
        except socket.timeout:
            raise Failed(f"{how} in {SILENCE} s") from None
        except OSError:
            raise Failed(f"{how}, reset") from None
        if not more:
            raise Failed(f"{how}, closed")
        self.unused += more

    def close(self):
        self.socket.close()


class Client:
    """Sends one request after another until it is told to stop."""

    def __init__(self, address, server, number):
        self.address, self.number = address, number
        self.method = "POST" if number % 2 and server.post else "GET"
        self.keeps = number % 4 < 2
        self.echoes = server.echoes
        path = server.post if self.method == "POST" else server.get
        self.head = f"{self.method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if not self.keeps:
            self.head += "Connection: close\r\n"
        self.failures, self.longest = Counter(), 0.0

    def run(self, stop, done):
        connection = None
        while not stop.is_set():
            begin = time.monotonic()
            try:
                connection = connection or Connection(self.address)
                if not self.request(connection, done[self.number]):
                    connection = connection.close()
            except Failed as failure:
                self.failures[self.method, str(failure)] += 1
                connection = connection and connection.close()
            self.longest = max(self.longest, time.monotonic() - begin)
            done[self.number] += 1

    def request(self, connection, number):
        """Sends one request. Returns whether the connection can carry another one."""
        request, sent = f"{self.head}\r\n".encode(), b""
        if self.method == "POST":
            sent = f"request {number} of client {self.number} ".encode() * 20
            request = f"{self.head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent
        status, body, stays = connection.exchange(request)
        if not 200 <= status < 300:
            raise Failed(f"status {status}")
        if not body or self.echoes and sent and body != sent:
            raise Failed("the wrong body")
        return stays and self.keeps


def run_clients(clients, stop, done, results):
    """A process with a thread for each of some clients."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threads = [threading.Thread(target=client.run, args=(stop, done)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([(client.failures, client.longest) for client in clients])


class Traffic:
    """Clients in several processes."""

    def __init__(self, address, server, count):
        self.stop, self.results = multiprocessing.Event(), multiprocessing.Queue()
        self.done = multiprocessing.Array("Q", count, lock=False)  # Each client counts in an element of its own.
        clients = [Client(address, server, number) for number in range(count)]
        of_one = max(4, count // (2 * (os.cpu_count() or 1)))
        self.processes = [
            multiprocessing.Process(target=run_clients, args=(part, self.stop, self.done, self.results), daemon=True)
            for part in (clients[at : at + of_one] for at in range(0, count, of_one))
        ]
        for process in self.processes:
            process.start()

    def requests(self):
        return sum(self.done)

    def end(self):
        """Waits for the last responses. Returns the failures, and the longest time of a request in seconds."""
        self.stop.set()
        outcomes = [outcome for _ in self.processes for outcome in self.results.get(timeout=2 * SILENCE)]
        return sum((failures for failures, _ in outcomes), Counter()), max(longest for _, longest in outcomes)


# --- Instances -------------------------------------------------------------------------------------------------------


class Server:
    """A program of which instances can be started. {port} in its command is replaced."""

    def __init__(self, name, command, check, get, post, echoes):
        self.name, self.command, self.check, self.get, self.post = name, command, check, get, post
        self.echoes = echoes

    def missing(self):
        return next((word for word in self.command if word.startswith("/") and not Path(word).exists()), None)


class Process:
    """A child process, with its output in a file. SIGTERM asks it to stop."""

    def __init__(self, command, output):
        with open(output, "ab") as file:
            # A Ctrl+C is for this script alone, which then stops its children.
            self.child = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    def end(self, seconds):
        """Asks it to stop. Returns its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"killed after {seconds} s"

    def kill(self):
        """Kills it and its children, which are in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


class Instance:
    def __init__(self, server, port, output):
        self.server, self.port, self.output = server, port, output
        self.start()

    def start(self):
        command = [word.replace("{port}", str(self.port)) for word in self.server.command]
        self.process = Process(command, self.output)
        wait_until(self.answers, self.process, self.output)

    def answers(self):
        return answers(self.port, self.server.check)


def answers(port, path):
    """Whether a new connection to this port gets a 200."""
    try:
        connection = Connection(("127.0.0.1", port))
        try:
            return connection.exchange(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())[0] == 200
        finally:
            connection.close()
    except Failed:
        return False


def wait_until(condition, process, output):
    """Waits for the condition, as long as this process runs."""
    deadline = time.monotonic() + START
    while not condition():
        if process.child.poll() is not None or time.monotonic() > deadline:
            log = Path(output).read_text(errors="replace")[-2000:]
            sys.exit(f"{process.child.args[0]} does not answer, or does not use an instance. Its output:\n{log}")
        time.sleep(0.01)


def free_ports(count):
    """Ports that are free now. They are below those that the kernel gives to clients: while an instance is restarted,
    no connection may take its port, or even connect to itself there."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = []
    while len(ports) < count:
        port = random.randrange(first * 2 // 3, first)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


# --- Proxies ---------------------------------------------------------------------------------------------------------


class Proxy:
    """HAProxy or nginx in front of instances, with the file of settings beside this script."""

    def __init__(self, folder, ports, edits):
        self.folder, self.output = folder, folder / f"{self.name}.log"
        self.port, *servers = ports
        text = (HERE / self.file).read_text()
        addresses = [(f"127.0.0.1:{8080 + at}", f"127.0.0.1:{port}") for at, port in enumerate([self.port, *servers])]
        for old, new in [*edits, *addresses]:
            if old not in text:
                sys.exit(f"{self.file} has no {old!r} to replace")
            text = text.replace(old, new)
        (folder / self.file).write_text(text)
        self.process = Process(self.command(), self.output)


class HAProxy(Proxy):
    name, program, file = "HAProxy", "haproxy", "haproxy.cfg"

    def command(self):
        self.admin = str(self.folder / "admin.sock")
        (self.folder / "global.cfg").write_text(f"global\n    stats socket {self.admin} level admin\n")
        return ["haproxy", "-db", "-f", self.folder / "global.cfg", "-f", self.folder / self.file]

    def take_out(self, name):
        """Has HAProxy send this instance nothing more, and waits until the requests in progress are answered."""
        self.ask(f"set server instances/{name} state drain")
        wait_until(lambda: self.now(name)["scur"] == "0", self.process, self.output)

    def take_in(self, name):
        """Has HAProxy use this instance again, and waits until it does."""
        self.ask(f"set server instances/{name} state ready")
        wait_until(lambda: self.now(name)["status"].startswith("UP"), self.process, self.output)

    def now(self, name):
        """What HAProxy's statistics say about this instance."""
        rows = csv.DictReader(self.ask("show stat").lstrip("# ").splitlines())
        return next(row for row in rows if row["pxname"] == "instances" and row["svname"] == name)

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(self.admin)
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()


class Nginx(Proxy):
    name, program, file = "nginx", "nginx", "nginx.conf"

    def command(self):
        kinds = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"
        folders = "\n".join(f"    {kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "main.conf").write_text(
            f"daemon off;\n{user}\nworker_processes auto;\npid {self.folder}/nginx.pid;\n"
            f"error_log stderr warn;\nevents {{}}\nhttp {{\n    access_log off;\n{folders}\n"
            f"    include {self.folder}/{self.file};\n}}\n"
        )
        return ["nginx", "-p", self.folder, "-e", "stderr", "-c", self.folder / "main.conf"]

    def take_in(self, _):
        """nginx says nowhere whether it uses an instance. It tries it again after fail_timeout, which is 10 s by default,
        or at once with max_fails=0."""
        text = (self.folder / self.file).read_text()
        if "max_fails=0" not in text:
            seconds = re.search(r"fail_timeout=(\d+)s", text)
            time.sleep(int(seconds[1]) if seconds else 10)


PROXIES = {proxy.program: proxy for proxy in (HAProxy, Nginx)}


# --- A rolling restart -----------------------------------------------------------------------------------------------


class Run:
    """One row of the table: a server behind a proxy, restarted under traffic."""

    def __init__(self, server, proxy, settings, edits=()):
        self.server, self.proxy, self.settings, self.edits = server, proxy, settings, list(edits)
        if server.check != "/readyz" and proxy is HAProxy:
            self.edits.append(("GET /readyz", f"GET {server.check}"))
        self.codes = Counter()

    def roll(self, folder, given):
        """Restarts instances until there were as many requests and restarts as asked for."""
        folder.mkdir()
        front, *ports = free_ports(1 + len(NAMES))
        running = []
        try:
            for name, port in zip(NAMES, ports):
                running.append(Instance(self.server, port, folder / f"{name}.log"))
            instances = list(zip(NAMES, running))
            proxy = self.proxy(folder, [front, *ports], self.edits)
            running.append(proxy)
            wait_until(lambda: answers(front, self.server.get), proxy.process, proxy.output)
            traffic = Traffic(("127.0.0.1", front), self.server, given.clients)
            wait_until(lambda: all(traffic.done), proxy.process, proxy.output)
            begin = time.monotonic()
            self.restarts = 0
            while traffic.requests() < given.requests or self.restarts < given.restarts:
                time.sleep(max(0, begin + self.restarts * given.every - time.monotonic()))
                name, instance = instances[self.restarts % len(instances)]
                if given.take_out:
                    proxy.take_out(name)
                self.codes[instance.process.end(STOP)] += 1
                instance.start()
                proxy.take_in(name)
                self.restarts += 1
                say(f"    restart {self.restarts}: {traffic.requests()} requests in all")
            self.failures, self.longest = traffic.end()
            self.requests, self.seconds = traffic.requests(), time.monotonic() - begin
        finally:
            for each in running:
                each.process.kill()

    def failed(self, method=None):
        return sum(count for (of, _), count in self.failures.items() if method in (None, of))

    def row(self):
        kinds = Counter()
        for (_, how), count in self.failures.items():
            kinds[how] += count
        codes = "" if set(self.codes) == {0} else "exit codes: " + ", ".join(
            f"{count} × {code}" for code, count in self.codes.items())
        hows = [f"{count} × {how}" for how, count in kinds.most_common()]
        return [self.server.name, self.proxy.name, self.settings, f"{self.requests:,}".replace(",", " "),
                str(self.restarts), str(self.failed()), str(self.failed("POST")),
                "; ".join(filter(None, [*hows, codes])) or "–", f"{self.longest:.2f} s"]


def farewell(*options):
    command = [str(BUILT / "farewell"), "--listen", "127.0.0.1:{port}", "--no-shutdown-route", *options]
    return Server("farewell", command, "/readyz", "/", "/echo", echoes=True)


def peer(name, *command):
    return Server(name, [*command, "--port", "{port}"], "/", "/", "/echo", echoes=True)


def all_runs():
    lame_duck, last_call = farewell("--lame-duck=3s"), farewell("--last-call=2s")
    no_retries = [("retries 3", "retries 0")]
    runs = [
        Run(lame_duck, HAProxy, "as the file; lame duck 3 s"),
        Run(lame_duck, HAProxy, "`retries 0`; lame duck 3 s", no_retries),
        Run(farewell(), HAProxy, "as the file; no lame duck"),
        Run(last_call, Nginx, "as the file; last call 2 s"),
    ]
    release = str(PEERS / "target/release")
    for server in (
        peer("axum", f"{release}/axum"),
        peer("actix-web", f"{release}/actix"),
        peer("Go", f"{release}/go-http"),
        peer("Node", "node", str(PEERS / "node/server.js")),
    ):
        runs += [Run(server, HAProxy, "as the file"), Run(server, Nginx, "as the file")]
    return runs


# --- The command -----------------------------------------------------------------------------------------------------


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--proxy", choices=PROXIES, help="only behind this one")
    add("--only", metavar="NAME,…", help="only these servers: farewell, axum, actix-web, go, node")
    add("--requests", type=int, default=REQUESTS, help=f"at least so many in each row; default {REQUESTS}")
    add("--restarts", type=int, default=RESTARTS, help=f"at least so many in each row; default {RESTARTS}")
    add("--every", type=float, default=EVERY, metavar="SECONDS",
        help=f"at least so long from the begin of a restart to that of the next; default {EVERY}")
    add("--clients", type=int, default=CLIENTS, help=f"how many send at the same time; default {CLIENTS}")
    add("--take-out", action="store_true", help="have HAProxy send an instance nothing more before it is stopped")
    add("--edit", metavar="OLD=>NEW", action="append", default=[], help="replace a text in the proxy's file")
    add("--check", default="/readyz", help="path of COMMAND for health checks; default /readyz")
    add("--get", default="/", help="path of COMMAND for GETs; default /")
    add("--post", help="path of COMMAND for POSTs; without it all requests are GETs")
    add("--echo", action="store_true", help="COMMAND answers each POST with its body, which is checked")
    add("--keep", metavar="FOLDER", type=Path, help="keep the output of all processes in this new folder")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="your service; {port} is replaced")
    given = parser.parse_args()
    given.command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if given.command and not any("{port}" in word for word in given.command):
        parser.error("COMMAND has no {port}, which stands for the port to listen on")
    if any("=>" not in edit for edit in given.edit):
        parser.error("--edit needs OLD=>NEW")
    return given


def chosen(given):
    """The runs that were asked for."""
    if given.command:
        name = Path(given.command[0]).name
        server = Server(name, given.command, given.check, given.get, given.post, given.echo)
        runs = [Run(server, proxy, "as the file") for proxy in PROXIES.values()]
    else:
        runs = all_runs()
    if given.take_out:  # nginx has no command for it
        runs = [run for run in runs if run.proxy is HAProxy]
    if given.proxy:
        runs = [run for run in runs if run.proxy.program == given.proxy]
    if given.only:
        names = given.only.lower().split(",")
        runs = [run for run in runs if run.server.name.lower() in names]
    edits = [tuple(edit.split("=>", 1)) for edit in given.edit]
    for run in runs:
        run.edits += edits
        run.settings = "; ".join([run.settings, *(f"`{new}`" for _, new in edits), *["taken out first"] * given.take_out])
    return runs


def version(command):
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return re.search(r"\d+(\.\d+)+", output)[0]


def print_table(done):
    heads = ["server", "proxy", "settings", "requests", "restarts", "failed", "POSTs of these", "how", "longest"]
    print(f"| {' | '.join(heads)} |\n|---|---|---|---:|---:|---:|---:|---|---:|")
    for run in done:
        print(f"| {' | '.join(run.row())} |")


def main():
    given = options()
    runs = chosen(given)
    if not runs:
        say("nothing is left to run: see --help for the names")
        return 2
    missing = {run.proxy.program for run in runs if not shutil.which(run.proxy.program)}
    for program in missing:
        say(f"{program} is not installed: apt-get install {program}")
    runs = [run for run in runs if run.proxy.program not in missing]
    if not runs:
        return 77
    for path in dict.fromkeys(filter(None, (run.server.missing() for run in runs))):
        say(f"{path} is not built: see --help")
    runs = [run for run in runs if not run.server.missing()]
    if not runs:
        return 2

    folder = given.keep or Path(tempfile.mkdtemp(prefix="rolling-"))
    folder.mkdir(exist_ok=not given.keep)
    done = []
    try:
        for number, run in enumerate(runs, 1):
            say(f"{run.server.name} behind {run.proxy.name}, {run.settings}")
            run.roll(folder / str(number), given)
            done.append(run)
            say(f"    {run.failed()} failed; {run.requests / run.seconds:.0f} requests a second")
    finally:
        if done:
            print_table(done)
        if not given.keep:
            shutil.rmtree(folder)
    versions = [f"{proxy.name} {version([proxy.program, '-v'])}" for proxy in dict.fromkeys(run.proxy for run in done)]
    print(f"\n{given.clients} clients, {os.cpu_count()} cores, Linux {platform.release()}, {', '.join(versions)}")
    ours = [run for run in done if given.command or run.server.name == "farewell"]
    return int(any(run.failed() or set(run.codes) != {0} for run in ours))


if __name__ == "__main__":
    # So that the instances are stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
