"""What a program answers to requests and signals, over plain sockets."""

import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

TOKEN = "open-sesame"
AUTH = f"Authorization: Bearer {TOKEN}\r\n"
JSON = "Content-Type: application/json\r\n"
# The next id would be larger than the largest: the handler panics.
FULL = '{"18446744073709551615": {"text": "the last"}}'


class Server:
    """The program, with notes of its own."""

    def __init__(self, program, file):
        self.file = file
        self.process = subprocess.Popen(
            [program, file, "127.0.0.1:0"],
            env={**os.environ, "TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # A shell that starts this in the background has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("listening on http://"):
            self.process.kill()
            raise RuntimeError(f"{program} does not listen: {line!r}")
        host, port = line.split("//")[1].strip().split(":")
        self.address = (host, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def connect(self):
        return socket.create_connection(self.address, timeout=20)

    def stop(self, name):
        """The seconds until the program has ended, or `None` after half a minute."""
        begin = time.monotonic()
        self.process.send_signal(name)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - begin

    def notes(self):
        return json.loads(Path(self.file).read_text())

    def ask(self, method, path, fields="", body=b""):
        """One request on a connection of its own: `(status, fields, body)`, or `None`."""
        if body or method in ("POST", "PUT"):
            fields += f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n"
        return self.send(head.encode() + body)

    def send(self, request):
        with self.connect() as connection:
            try:
                connection.sendall(request)
            except OSError:
                pass  # the server may have answered and closed before the end
            return parsed(received(connection))


def received(connection):
    """What the server sends until it closes, or until a response is complete."""
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except OSError:
        pass  # a reset, or no close: what has come counts
    return data


def parsed(data):
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        return None
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    if fields.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return int(words[1]), fields, body


def unchunked(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        whole, body = whole + body[:length], body[length + 2 :]
    return whole


def value(response):
    """The JSON of a response, or `None`."""
    _, fields, body = response
    if not fields.get("content-type", "").startswith("application/json"):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def verdict(response, status, *fields):
    """What a refusal lacks: a status, fields, and JSON with an `error`."""
    if response is None:
        return "**no response**"
    if response[0] < 400:
        return f"**{response[0]}**"
    lacks = [f"no `{field}`" for field in fields if field.lower() not in response[1]]
    if response[0] != status:
        lacks.insert(0, f"{response[0]}")
    error = value(response)
    if not response[2]:
        lacks.append("no body")
    elif not isinstance(error, dict) or not error.get("error"):
        lacks.append("no JSON")
    return f"**{', '.join(lacks)}**" if lacks else "yes"


def yes(holds, otherwise="**no**"):
    return "yes" if holds else otherwise


def api(server):
    """A note from its creation to its end."""
    created = server.ask("POST", "/notes", AUTH + JSON, b'{"text": "milk"}')
    assert created and created[0] == 201, created
    location = created[1]["location"]
    assert location == "/notes/1" and value(created)["text"] == "milk", created
    server.ask("POST", "/notes", AUTH + JSON, b'{"text": "bread"}')
    found = server.ask("GET", "/notes")
    assert found[0] == 200 and "milk" in str(value(found)), found
    assert "bread" in str(value(found)), found
    replaced = server.ask("PUT", location, AUTH + JSON, b'{"text": "cream"}')
    assert replaced[0] in (200, 204), replaced
    read = server.ask("GET", location)
    assert read[0] == 200 and value(read)["text"] == "cream", read
    deleted = server.ask("DELETE", location, AUTH)
    assert deleted[0] == 204 and not deleted[2], deleted
    assert server.ask("GET", location)[0] == 404


def refusals(server):
    """The errors that a client can provoke."""

    def post(body, fields=AUTH + JSON):
        return server.ask("POST", "/notes", fields, body)

    over = b'{"text": "' + b"x" * (2 << 20) + b'"}'
    far_over = b'{"text": "' + b"x" * (8 << 20) + b'"}'
    chunked = f"POST /notes HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{AUTH}{JSON}"
    chunked += f"Transfer-Encoding: chunked\r\n\r\n{len(over):x}\r\n"
    chunked = chunked.encode() + over + b"\r\n0\r\n\r\n"
    malformed = b"GET /notes HTTP/1.1\r\nHost: test\r\nno field\r\n\r\n"
    long_field = "X-Long: " + "x" * (1 << 20) + "\r\n"
    head = server.ask("HEAD", "/notes")
    return {
        "400, the body is no JSON": verdict(post(b"{"), 400),
        "400, the id is no number": verdict(server.ask("GET", "/notes/x"), 400),
        "400, the request is not HTTP": verdict(server.send(malformed), 400),
        "401, with `WWW-Authenticate`": verdict(post(b"{}", JSON), 401, "WWW-Authenticate"),
        "404, no such note": verdict(server.ask("GET", "/notes/99"), 404),
        "404, no such path": verdict(server.ask("GET", "/other"), 404),
        "405, with `Allow`": verdict(server.ask("PATCH", "/notes", AUTH), 405, "Allow"),
        "413, one byte too many and more": verdict(post(over), 413),
        "413, in chunks": verdict(server.send(chunked), 413),
        "413, to a client that sends 8 MiB and then reads": verdict(post(far_over), 413),
        "415": verdict(post(b"{}", AUTH + "Content-Type: text/plain\r\n"), 415),
        "422, other JSON": verdict(post(b'{"note": 1}'), 422),
        "431, the head is too long": verdict(server.ask("GET", "/notes", long_field), 431),
        "`HEAD` is answered like `GET`": yes(head and head[0] == 200, f"**{head and head[0]}**"),
    }


def slow(server):
    """What becomes of requests that do not go on, within 40 seconds."""
    head, fields = "GET /notes HTTP/1.1\r\nHost: te", AUTH + JSON + "Content-Length: 9\r\n"
    body = f"POST /notes HTTP/1.1\r\nHost: test\r\n{fields}\r\n{{"
    results = {}
    with server.connect() as of_head, server.connect() as of_body:
        of_head.sendall(head.encode())
        of_body.sendall(body.encode())
        end = time.monotonic() + 40
        for name, connection in (("head", of_head), ("body", of_body)):
            connection.settimeout(max(end - time.monotonic(), 0.1))
            try:
                response = parsed(connection.recv(65536))
                result = verdict(response, 408)
            except TimeoutError:
                result = "**waits**"
            except OSError:
                result = verdict(None, 408)
            results[f"408, the {name} does not go on for 40 s"] = result
    return results


def post_in_progress(server):
    """A connection whose request has half of its body."""
    connection = server.connect()
    body = b'{"text": "late"}'
    head = f"POST /notes HTTP/1.1\r\nHost: test\r\n{AUTH}{JSON}Content-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[:8])
    # It has arrived when a request that was sent later is answered.
    server.ask("GET", "/notes")
    return connection, body[8:]


def stops(start):
    """What a signal does to a server with a connection."""
    results = {}
    for name in (signal.SIGTERM, signal.SIGINT):
        with start() as server, server.connect() as idle:
            idle.sendall(b"GET /notes HTTP/1.1\r\nHost: test\r\n\r\n")
            idle.recv(65536)
            server.ask("POST", "/notes", AUTH + JSON, b'{"text": "milk"}')
            took = server.stop(name)
            saved = took is not None and len(server.notes()) == 1
            title = f"`{name.name}`, with an idle connection: the notes are saved after"
            results[title] = f"{took:.1f} s" if saved else "**not saved**"

    with start() as server:
        connection, rest = post_in_progress(server)
        with connection:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(2)
            try:
                connection.sendall(rest)
                response = parsed(received(connection))
            except OSError:
                response = None
        try:
            server.process.wait(30)
            saved = len(server.notes()) == 1
        except subprocess.TimeoutExpired:
            saved = False
        answered = response is not None and response[0] == 201
        lost = "**no response**" if not answered else "**answered, not saved**"
        title = "a request whose body ends 2 s after `SIGTERM` is answered, and saved"
        results[title] = yes(answered and saved, lost)

    with start() as server:
        server.ask("POST", "/notes", AUTH + JSON, b'{"text": "milk"}')
        connection, _ = post_in_progress(server)
        with connection:
            took = server.stop(signal.SIGTERM)
        saved = took is not None and len(server.notes()) == 1
        title = "a request whose body never ends: the notes are saved after"
        results[title] = f"{took:.1f} s" if saved else "**not saved**"
    return results


def of(program):
    """A column of the table: `{check: result}`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "notes.json"

        def start(notes="{}"):
            file.write_text(notes)
            return Server(program, str(file))

        with start() as server:
            api(server)
            results = refusals(server)
            results.update(slow(server))
        with start(FULL) as server:
            panicked = server.ask("POST", "/notes", AUTH + JSON, b'{"text": "x"}')
            results["500, after a panic of the handler"] = verdict(panicked, 500)
        results.update(stops(start))
    return results
