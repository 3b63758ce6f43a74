#!/usr/bin/env python3
"""What clients get from a server that is asked to stop while a proxy still sends them to it: as in
Kubernetes, where SIGTERM and the removal of the endpoint race.

    python3 benches/operating/endpoint_race.py --after 5 -- \\
        target/release/farewell --listen 127.0.0.1:{port} --lame-duck 6s

Half of the clients use a new connection for each request, and half keep theirs. They go on for
--after seconds after SIGTERM. Then the proxy has learned of it, and they stop.
"""

import argparse
import collections
import http.client
import select
import signal
import socket
import subprocess
import sys
import threading
import time


class Client:
    """One client in a closed loop."""

    def __init__(self, race, keeps):
        self.race, self.keeps = race, keeps
        self.connection = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.race.over.is_set():
            self.forget_if_closed()
            fate = self.request()
            with self.race.lock:
                self.race.fates[self.race.stopping.is_set(), fate] += 1
            if fate == "refused":
                time.sleep(0.01)
            if fate != "answered" or not self.keeps:
                self.forget()

    def request(self):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.race.port, timeout=30)
                self.connection.connect()
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "lost"
        try:
            self.connection.request("GET", "/")
            response = self.connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return "lost"
        if response.will_close:
            self.forget()
        return "answered" if response.status == 200 else f"status {response.status}"

    def forget_if_closed(self):
        """A connection that the server has closed is not used again."""
        if self.connection is not None and select.select([self.connection.sock], [], [], 0)[0]:
            self.forget()

    def forget(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Race:
    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.fates = collections.Counter()
        self.stopping, self.over = threading.Event(), threading.Event()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until_it_listens(port, process):
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"the server ended: {process.returncode}")
            time.sleep(0.01)
    sys.exit("the server does not listen")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=8, help="(default %(default)s)")
    parser.add_argument("--before", type=float, default=1, help="seconds (default %(default)s)")
    parser.add_argument("--after", type=float, default=5, help="seconds (default %(default)s)")
    parser.add_argument("command", nargs="+", help="the server; {port} is a free port")
    options = parser.parse_args()
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in options.command]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until_it_listens(port, process)
    race = Race(port)
    clients = [Client(race, keeps=number % 2 == 1) for number in range(options.clients)]
    time.sleep(options.before)
    race.stopping.set()
    process.send_signal(signal.SIGTERM)
    time.sleep(options.after)
    race.over.set()
    for client in clients:
        client.thread.join()
        client.forget()
    code = process.wait(timeout=60)
    for stopping, when in (False, "before"), (True, "after"):
        found = ", ".join(f"{count} {fate}" for (at, fate), count in sorted(race.fates.items()) if at == stopping)
        print(f"{when} SIGTERM: {found or 'nothing'}")
    print(f"exit code: {code}")


if __name__ == "__main__":
    main()
