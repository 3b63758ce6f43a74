#!/usr/bin/env python3
"""How long a stop of the program takes, from SIGTERM to the end of the process, if something
holds it up: a handler that hangs, clients that do not close or do not read, blocked output.

    cargo build --release -p farewell-cli
    python3 benches/operating/held_up.py [PROGRAM] [OPTION ...]

PROGRAM is target/release/farewell by default, and each OPTION is given to it. The program has 4
workers. The times are to be compared with the 10 s after which `docker stop` kills. It takes about a
minute.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
WORKERS = 4
BIG = 64 << 20


class Program:
    """The program on a free port, with stdout and stderr as pipes."""

    def __init__(self, words, blocked, folder=None):
        out, self.stdout = os.pipe()
        err, self.stderr = os.pipe()
        words = words[:1] + ([str(folder)] if folder else []) + words[1:]
        words += ["--listen", "127.0.0.1:0", "--workers", str(WORKERS)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=self.stderr
        )
        greeting = b""
        while greeting.count(b"\n") < 2:
            greeting += os.read(out, 4096)
        address = greeting.split(b"http://127.0.0.1:")[1]
        self.port = int(address.split()[0])
        for reader, writer in (out, self.stdout), (err, self.stderr):
            if blocked:
                fill(writer)
            else:
                threading.Thread(target=read_all, args=(reader,), daemon=True).start()

    def connect(self, receive_buffer=None):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        return client

    def ask(self, path, client=None):
        client = client or self.connect()
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client


def fill(writer):
    """Writes until the pipe is full. It stays blocking for the program."""
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in 4096, 1:
        try:
            while True:
                os.write(writer, b"." * size)
        except BlockingIOError:
            pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)


def read_all(reader):
    while os.read(reader, 1 << 16):
        pass


# Each case holds up the stop. It returns the clients, so that they stay open, and when the stop
# began if a request of the case is what began it.


def nothing(_program):
    return []


def idle(program):
    client = program.ask("/")
    client.recv(4096)
    return [client]


def answered(program):
    return [program.ask("/?delay=700ms")]


def hung(program):
    return [program.ask("/?delay=60s")]


def queued(program):
    clients = [program.ask("/?delay=60s") for _ in range(WORKERS)]
    time.sleep(0.2)
    return clients + [program.ask("/queued") for _ in range(3)]


def unread(program):
    return [program.ask("/big", program.connect(receive_buffer=4096))]


def read_slowly(program):
    [client] = unread(program)

    def read():
        while client.recv(2048):
            time.sleep(0.1)

    def until_the_end():
        try:
            read()
        except OSError:
            pass

    threading.Thread(target=until_the_end, daemon=True).start()
    return [client]


def everything(program):
    clients = [program.ask("/?delay=60s") for _ in range(WORKERS - 1)]
    late = [program.connect() for _ in range(4)]
    time.sleep(0.2)
    # This begins the stop. The others are requests on the last call.
    clients.append(program.ask("/shutdown?wait"))
    time.sleep(0.1)
    program.ask("/?delay=60s", late[0])
    time.sleep(0.1)
    for client in late[1:]:
        program.ask("/queued", client)
    return clients + late


CASES = [
    ("nothing", nothing, False, False),
    ("an idle client that does not close", idle, False, False),
    ("a client that does not close after its response", answered, False, False),
    ("a handler that hangs", hung, False, False),
    ("handlers that hang on all workers, and clients of 503s that do not close", queued, False, False),
    ("a download that is not read", unread, False, True),
    ("a download that is read at 20 KB/s", read_slowly, False, True),
    ("a follower that does not read, clients of 503s that do not close, handlers that hang", everything, False, False),
    ("an idle client that does not close; stdout and stderr blocked", idle, True, False),
    ("handlers that hang, clients of 503s that do not close; stdout and stderr blocked", queued, True, False),
    ("all of these at once", everything, True, False),
]


def stop(words, case, blocked, folder):
    """Returns the time of the stop, and the exit code."""
    program = Program(words, blocked, folder)
    clients = case(program)
    if case is everything:
        begun = time.monotonic() - 0.2
    else:
        time.sleep(0.3)
        begun = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
    try:
        code = program.process.wait(timeout=60)
    finally:
        program.process.kill()
    took = time.monotonic() - begun
    for client in clients:
        client.close()
    return took, code


def main():
    words = sys.argv[1:] or [str(TOP / "target/release/farewell")]
    print("| what holds up the stop | s | exit code |\n|---|---:|---:|")
    longest = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / "big", "wb") as big:
            big.truncate(BIG)
        for name, case, blocked, is_folder in CASES:
            took, code = stop(words, case, blocked, folder if is_folder else None)
            longest = max(longest, took)
            print(f"| {name} | {took:.2f} | {code} |", flush=True)
    print(f"\nthe longest: {longest:.2f} s")


if __name__ == "__main__":
    main()
