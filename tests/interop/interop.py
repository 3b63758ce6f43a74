#!/usr/bin/env python3
"""Runs common clients and proxies against the real programs, and stops the programs under their traffic.

    cargo build --release --bins --examples
    python3 tests/interop/interop.py [WORD...]      # only the clients whose name has a WORD in it

It needs Linux, Python 3.11, curl, and 2 GiB in TMPDIR. It also uses wget, node (20 or later), ab, wrk, h2load,
nginx and HAProxy if they are installed, and names the missing ones. It takes two minutes, prints one table, and
exits with 1 if a check failed. It listens on 127.0.0.1 only, and uses CARGO_TARGET_DIR.
"""

import http.client, itertools, json, os, random, re, shutil, socket, subprocess, sys, tempfile, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path

BUILT = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[2] / "target")) / "release"
TMP = Path(tempfile.mkdtemp(prefix="interop-"))
BODY = random.Random(1).randbytes(10 << 20)  # the body of the POSTs
LIMIT = 20_000_000  # the largest body that the server accepts
TOOLS = {"curl": "curl --version", "wget": "wget --version", "fetch": "node --version", "ab": "ab -V", "wrk": "wrk -v",
         "h2load": "h2load --version", "nginx": "nginx -v", "haproxy": "haproxy -v"}
rows, processes, versions = [], [], dict.fromkeys(["http.client", "sockets"], sys.version.split()[0])


def same(what, got, wanted):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def contains(text, pattern):
    assert re.search(pattern, text, re.DOTALL), f"no {pattern!r} in {text[-900:]!r}"


def check(client, what, test, *arguments):
    """Runs a test for a row of the table. What it returns is a remark; an exception is a failure."""
    missing = [word for word in client.split() if word in TOOLS and word not in versions]
    if missing or sys.argv[1:] and not any(word in client for word in sys.argv[1:]):
        return
    try:
        result = "; ".join(filter(None, ["ok", test(*arguments)]))
    except Exception as error:
        result = f"FAILED: {error!r}"
    rows.append((client, " ".join(versions.get(word, "") for word in client.split()).strip(), what, result))
    print(*rows[-1], sep=" | ", file=sys.stderr)


def run(pattern, *command, stdin=None):
    """Runs a command. Its output, with the exit code, has to match the pattern."""
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90)
    contains(f"{done.stdout.decode(errors='replace')}exit code {done.returncode}", f"(?:{pattern}).*exit code 0$")


def fetch(digest, *command):
    """Runs a command that writes a body to its stdout. The body has to have this hash."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        same("hash", file_digest(client.stdout, "sha256").hexdigest(), digest)
    same("exit code", client.returncode, 0)


def background(command, log="programs.log", **options):
    processes.append(subprocess.Popen(command, stderr=open(TMP / log, "ab"), **options))
    return processes[-1]


class Server:
    """A program of this project, while it runs."""

    def __init__(self, program, *arguments):
        self.process = background([BUILT / program, *arguments], stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline())[0]

    def stop(self, by):
        """Stops the program. Its report has to say that every request was answered, and none crossed the close."""
        if by == "SIGTERM":
            self.process.terminate()
        else:
            run("shutting down", "curl", "-sS", "-X", "POST", f"{self.url}/shutdown")
        output, _ = self.process.communicate(timeout=20)
        same("the server's exit code", self.process.returncode, 0)
        report = json.loads(output.splitlines()[-1])
        ended, requests = report["connections"]["ended"], report["requests"]
        bad = {how: ended[how] for how in ("crossed_the_close", "cut", "body_failed", "client_stalled") if ended[how]}
        same("connections that ended badly", bad, {})
        same("requests answered", requests["ended"]["answered"], requests["begun"])


def farewell(*options):
    return Server("farewell", "--listen=127.0.0.1:0", "--report=json", f"--body-bytes-max={LIMIT}", *options)


class Proxy:
    """nginx or HAProxy, with a port for each of several (settings, servers)."""

    def __init__(self, name, *fronts):
        self.log, config = TMP / f"{name}{len(processes)}.log", TMP / f"{name}{len(processes)}.conf"
        ports = random.sample(range(20_000, 32_000), len(fronts))  # below the kernel's ephemeral ports
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        config.write_text(getattr(self, name)(zip(ports, fronts)))
        command = [name, "-p", TMP, "-e", self.log, "-c", config] if name == "nginx" else [name, "-db", "-f", config]
        self.process = background(command, self.log, stdout=open(self.log, "ab"))
        time.sleep(0.5)  # until it listens

    def errors(self):
        """The errors in its log, except refused connections."""
        wrong = r".*\[(?:error|crit|alert)\](?!.*(?:111: Connection refused|no live upstreams)).*|^50\d (?!SC).*"
        return re.findall(wrong, self.log.read_text(), re.MULTILINE)

    def nginx(self, fronts):
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = "".join(f"{kind}_temp_path {TMP}/{kind};\n" for kind in kinds)
        for port, (settings, servers) in fronts:
            listed = " ".join(f"server {server.url[7:]};" for server in servers)
            text += f"upstream u{port} {{ {listed} keepalive 32; }}\nserver {{ listen 127.0.0.1:{port};"
            text += f" location / {{ proxy_pass http://u{port}; {settings} }} }}\n"
        user = "user root;" if os.geteuid() == 0 else ""
        return f"""daemon off; {user} pid {TMP}/nginx.pid; error_log {self.log} info; events {{ }}
            http {{ access_log off; client_max_body_size 0; keepalive_requests 1000000;\n{text} }}\n"""

    def haproxy(self, fronts):
        text = ""
        for port, (settings, servers) in fronts:
            listed = (f"\n  server s{i} {server.url[7:]} check inter 100ms" for i, server in enumerate(servers))
            text += f"listen p{port}\n  bind 127.0.0.1:{port}\n  {settings}{''.join(listed)}\n"
        return f"""global\n  log stdout format raw local0
            defaults\n  mode http\n  log global\n  log-format "%ST %tsc"\n  option redispatch 1
            timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout tunnel 60s\n{text}"""


def curl_checks(client, url, download, digest):
    echo, null, file = f"{url}/echo", ["-o", "/dev/null"], ["--data-binary", f"@{TMP}/body"]
    chunked, large = ["-H", "Transfer-Encoding: chunked"], ["--data-binary", f"@{TMP}/large"]
    expect = ["-v", "-m", "8", "--expect100-timeout", "9", "-H", "Expect: 100-continue"]
    def curl(what, wanted, *arguments, how=run):
        check(client, what, how, wanted, "curl", "-sS", "-m", "60", *arguments)
    count = ["-w", "%{http_code} %{num_connects}\n", *null * 3]
    curl("GET, three on one connection", "^200 1\n200 0\n200 0\n", *count, f"{url}/a", f"{url}/b", f"{url}/c")
    curl("HEAD", "200 OK.*[cC]ontent-[lL]ength: 23", "-I", url)
    curl("POST of 10 MiB", sha256(BODY).hexdigest(), *file, echo, how=fetch)
    curl("POST of 10 MiB, chunked", sha256(BODY).hexdigest(), *chunked, *file, echo, how=fetch)
    curl("Expect: 100-continue", "< HTTP/1.1 100 .*< HTTP/1.1 200 ", *expect, *file, *null, echo)
    curl("too large: 413", "^413", "-H", "Expect:", "-w", "%{http_code}", *large, *null, echo)
    sent = ["-w", "sent %{size_upload}.", *expect, *large, *null]
    curl("too large, Expect: 413", "< HTTP/1.1 413 .*" + "sent 0[.]" * (client == "curl"), *sent, echo)
    curl("too large, chunked: 413", "^413", *chunked, "-w", "%{http_code}", *large, *null, echo)
    curl("HTTP/1.0", "200 OK.*Hello", "-0", "-i", url)
    curl("h2c upgrade, ignored", "> Upgrade: h2c.*< HTTP/1.1 200 OK.*Hello", "--http2", "-v", url)
    curl("TE: trailers", "Hello", "-H", "TE: trailers", "-H", "Connection: TE", url)
    curl("download of 1 GiB", digest, f"{download}/gib", how=fetch)


def command_checks(url, download, upload, digest):
    file, here = f"{TMP}/body", sha256(BODY).hexdigest()
    check("wget", "GET, two on one connection", run, "Reusing existing", "wget", "-O-", f"{url}/a", f"{url}/b")
    check("wget", "HEAD", run, "200 OK", "wget", "--spider", "-S", url)
    check("wget", "POST of 10 MiB", fetch, here, "wget", "-qO-", f"--post-file={file}", f"{url}/echo")
    check("wget", "download of 1 GiB", fetch, digest, "wget", "-qO-", f"{download}/gib")
    def put(*command, stdin=None):
        run("", *command, f"{upload}/put", stdin=stdin)
        fetch(here, "cat", TMP / "put")
    check("wget", "PUT of 10 MiB", put, "wget", "-qO-", "--method=PUT", f"--body-file={file}")
    check("curl", "PUT of 10 MiB", put, "curl", "-sSf", "-T", file)
    check("curl", "PUT of 10 MiB, chunked", lambda: put("curl", "-sSf", "-T-", stdin=BODY))
    none = "Failed requests: +0\n"  # other statuses would add a line after this one
    check("ab", "GET, HTTP/1.0", run, none + "Total", "ab", "-qn", "5000", "-c32", f"{url}/")
    check("ab", "GET, -k", run, none + "Keep-Alive requests: +20000\n", "ab", "-kqn", "20000", "-c32", f"{url}/")
    check("ab", "HEAD, -k", run, none + "Keep-Alive requests: +5000\n", "ab", "-ikqn", "5000", "-c8", f"{url}/")
    posted = f"Document Length: +{len(BODY)} .*{none}Keep-Alive requests: +20\n"
    check("ab", "POST of 10 MiB, -k", run, posted, "ab", "-kqn20", "-c2", "-p", file, f"{url}/echo")
    check("ab", "download of 1 GiB", run, f"{none}.*HTML transferred: +{1 << 30}", "ab", "-qn1", f"{download}/gib")
    fine = "requests in [^\n]*\nRequests/sec"  # errors would add a line between these
    request = r"local all = string.rep('GET / HTTP/1.1\r\nHost: x\r\n\r\n', 16); function request() return all end"
    (TMP / "pipe.lua").write_text(request)
    check("wrk", "GET", run, fine, "wrk", "-t2", "-c64", "-d2s", url)
    check("wrk", "GET, 16 pipelined", run, fine, "wrk", "-t2", "-c32", "-d2s", "-s", TMP / "pipe.lua", url)
    def h2load(what, number, *arguments, more=""):
        all_of_it = f"{number} succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: {number} 2xx{more}"
        check("h2load", what, run, all_of_it, "h2load", "--h1", f"-n{number}", *arguments)
    h2load("GET", 20000, "-c32", url)
    h2load("GET, 16 pipelined", 20000, "-c32", "-m16", url)
    h2load("POST of 10 MiB", 20, "-c2", "-d", file, f"{url}/echo", more=rf".*\({20 * len(BODY)}\) data")
    h2load("download of 1 GiB", 1, f"{download}/gib", more=rf".*\({1 << 30}\) data")


def python_checks(server, download, digest):
    def ask(wanted, method, path, body=None, to=server, times=1):
        connection = http.client.HTTPConnection(to.url[7:], timeout=60)
        for _ in range(times):
            connection.request(method, path, body)
            response = connection.getresponse()
            same("answer", response.status if wanted == 413 else file_digest(response, "sha256").hexdigest(), wanted)
    hashes = [sha256(content).hexdigest() for content in (b"Hello, you requested /x\n", b"", BODY)]
    pieces = (BODY[i : i + 65_536] for i in range(0, len(BODY), 65_536))
    check("http.client", "GET, 500 on one connection", lambda: ask(hashes[0], "GET", "/x", times=500))
    check("http.client", "HEAD", ask, hashes[1], "HEAD", "/x")
    check("http.client", "POST of 10 MiB", ask, hashes[2], "POST", "/echo", BODY)
    check("http.client", "POST of 10 MiB, chunked", ask, hashes[2], "POST", "/echo", pieces)
    check("http.client", "too large: 413", ask, 413, "POST", "/echo", bytes(LIMIT + 1))
    check("http.client", "download of 1 GiB", ask, digest, "GET", "/gib", None, download)


def talk(wanted, url, *pieces):
    """Sends the pieces, each after the first bytes of the answer to the one before, and reads to the end."""
    with socket.create_connection(url[7:].split(":"), timeout=20) as stream:
        stream.sendall(pieces[0])
        read = b""
        for piece in pieces[1:]:
            read += stream.recv(65536)
            stream.sendall(piece)
        while data := stream.recv(65536):
            read += data
    contains(read.decode(errors="replace"), wanted)


def socket_checks(client, url):
    post, last = b"POST /echo HTTP/1.1\r\nHost: x\r\n", b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    one = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n%bContent-Length: 4\r\n\r\n<%02d>"
    many = b"".join(one % (i, post, i) for i in range(60)) + last
    in_order = "".join(f"requested /{i}\n.*<{i:02}>.*" for i in range(60)) + "requested /last"
    chunked = b"Transfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nSum: 5\r\n\r\n"
    expect = post + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    preface, both = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 200 OK.*abcde.*HTTP/1.1 200 OK.*requested /last"
    check(client, "120 requests pipelined, POSTs among them", talk, in_order, url, many)
    check(client, "chunked, with an extension and trailers", talk, both, url, post + chunked + last)
    after = "^HTTP/1.1 100 Continue\r\n\r\n" + both
    check(client, "Expect: 100-continue, and another request", talk, after, url, expect % 5, b"abcde" + last)
    if client == "sockets":
        check(client, "too large, Expect: 413, and the end", talk, "^HTTP/1.1 413 ", url, expect % (LIMIT + 1))
        check(client, "HTTP/2 with prior knowledge, refused", talk, "^HTTP/1.1 505 ", url, preface)


def web_socket(proxy, settings):
    server = Server("examples/websocket", "127.0.0.1:0")
    url = Proxy(proxy, (settings, [server])).urls[0]
    with socket.create_connection(url[7:].split(":"), timeout=20) as stream:
        asked = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + asked)
        contains(stream.recv(65536).decode(), "^HTTP/1.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK[+]xOo=\r\n")
        stream.sendall(b"\x81\x85\0\0\0\0hello")  # masked with zeros
        same("echo", stream.recv(7), b"\x81\x05hello")
        server.process.terminate()
        same("close", stream.recv(20), b"\x88\x12\x03\xe9the server stops")
        stream.sendall(b"\x88\x82\0\0\0\0\x03\xe9")
        with suppress(ConnectionResetError):  # nginx ends both directions when the server ends its own
            same("the end", stream.recv(100), b"")
    same("the server's exit code", server.process.wait(10), 0)


NODE = r"""
const { strictEqual: same } = require('assert'), crypto = require('crypto'), http = require('http');
const [,, url, download, digest, stop] = process.argv, body = crypto.randomBytes(10 << 20);
const pieces = [...Array(160)].map((_, i) => body.subarray(i << 16, i + 1 << 16));
const post = body => fetch(url + '/echo', { method: 'POST', body, duplex: 'half' });
const sha = async stream => { const sum = crypto.createHash('sha256');
  for await (const piece of stream) sum.update(piece); return sum.digest('hex'); };
const hash = async body => same(await sha((await post(body)).body), await sha(pieces));
const large = async body => same((await post(body)).status, 413);
const checks = {
  'GET, 2000 by 20': () => Promise.all([...Array(20)].map(async () => {
    for (let i = 0; i < 100; i++) same(await (await fetch(url + '/x')).text(), 'Hello, you requested /x\n'); })),
  'HEAD': async () => same((await fetch(url, { method: 'HEAD' })).headers.get('content-length'), '23'),
  'POST of 10 MiB': () => hash(body),
  'POST of 10 MiB, chunked: a stream, duplex half': () => hash(ReadableStream.from(pieces)),
  'too large: 413': () => large(Buffer.alloc(20000001)),
  'too large, chunked: 413': () => large(ReadableStream.from([...pieces, ...pieces])),
  'download of 1 GiB': async () => same(await sha((await fetch(download + '/gib')).body), digest),
  'http.request, Expect: 100-continue': () => new Promise((yes, no) => {
    const headers = { Expect: '100-continue', 'Content-Length': body.length };
    const request = http.request(url + '/echo', { method: 'POST', headers, timeout: 9000 }).on('error', no);
    request.on('continue', () => request.end(body)).on('timeout', () => no(Error('no 100'))).flushHeaders();
    request.on('response', answer => yes(sha(answer))); }).then(async got => same(got, await sha(pieces))) };
const until_refused = async i => {  // half of the clients pause between requests
  for (let end; !end;) {
    const asked = i % 2 ? post(pieces[0]) : fetch(url + '/x?delay=2ms');
    const read = asked.then(answer => answer.arrayBuffer().then(() => answer.status));
    console.log(await read.catch(error => end = error.cause?.code ?? `${error}`));
    if (i % 4 > 1) await new Promise(later => setTimeout(later, Math.random() * 700)); } };
const all = async () => { for (const [what, test] of Object.entries(checks))
  console.log(JSON.stringify([what, await test().then(() => '', error => `${error} ${error.cause ?? ''}`)])); };
stop ? [...Array(24).keys()].map(until_refused) : all();
"""


def programs(*commands):
    """Runs programs that send requests until one fails. Yields whether all still run, then counts the results."""
    outputs = [tempfile.TemporaryFile(dir=TMP) for _ in commands]
    running = [background(command, stdout=output) for command, output in zip(commands, outputs)]
    yield lambda: all(program.poll() is None for program in running)
    [(program.wait(20), output.seek(0)) for program, output in zip(running, outputs)]
    yield Counter(line.decode().strip() for output in outputs for line in output)


def curl_loops(url):
    curl = ["curl", "-sfw", "%{http_code} %{exitcode}\n", "-o", "/dev/null", "--fail-early"]
    post = ["--data-binary", f"@{TMP}/small", f"{url}/echo?[1-9999999]"]
    return programs(*[[*curl, f"{url}/[1-9999999]?delay=2ms"], [*curl, *post]] * 4)


def python_loops(url):
    def loop(method, path, body=None):
        connection = http.client.HTTPConnection(url[7:], timeout=20)  # it does not retry
        with suppress(ConnectionRefusedError):
            for i in itertools.count():
                connection.request(method, path, body)
                response = connection.getresponse()
                same("status", (response.status, bool(response.read())), (200, True))
        return i
    pool = ThreadPoolExecutor(8)
    loops = [pool.submit(loop, *asked) for asked in [("GET", "/?delay=2ms"), ("POST", "/echo", BODY[:100_000])] * 4]
    yield lambda: not any(loop.done() for loop in loops)
    yield Counter({"200": sum(loop.result(20) for loop in loops), "refused": len(loops)})


def stop(by, loops, fine, end, proxy=None, settings=None, spare=None, options=()):
    """Stops servers under traffic. Clients may only see a refused connection, and with a spare server not even
    that, until the spare is stopped too."""
    servers = [farewell(*options), *([farewell()] if spare else [])]
    proxy = proxy and Proxy(proxy, (settings, servers))
    clients = loops(proxy.urls[0] if proxy else servers[0].url)
    go_on = next(clients)
    for server in servers:
        time.sleep(1.5)
        same("clients that go on", go_on(), True)
        server.stop(by)
    seen = next(clients)
    same("answers", set(seen), {fine, end})
    same("errors in the proxy's log", proxy.errors() if proxy else [], [])
    return f"{seen[fine]} answers, then {end}"


def stop_download():
    server = Server("examples/download", TMP, "127.0.0.1:0")
    client = subprocess.Popen(["curl", "-sS", "--limit-rate", "400M", f"{server.url}/gib"], stdout=subprocess.PIPE)
    beginning = client.stdout.read(1 << 28)
    server.process.terminate()
    same("size", len(beginning) + len(client.stdout.read()), 1 << 30)
    same("exit codes", (client.wait(20), server.process.wait(20)), (0, 0))


NGINX = 'proxy_http_version 1.1; proxy_set_header Connection "";'
UPGRADE = 'proxy_http_version 1.1; proxy_set_header Connection "upgrade"; proxy_set_header Upgrade $http_upgrade;'
FRONTS = [("nginx", "kept", NGINX), ("nginx", "HTTP/1.0", ""),
          ("nginx", "streamed", NGINX + "proxy_request_buffering off; proxy_buffering off;"),
          ("haproxy", "reuse always", "http-reuse always"), ("haproxy", "server-close", "option http-server-close")]
STOPS = [("curl", curl_loops, "200 0", "000 7"),  # 7: connection refused
         ("fetch", lambda url: programs(["node", TMP / "js", url, "", "", "stop"]), "200", "ECONNREFUSED"),
         ("http.client", python_loops, "200", "refused"),
         ("curl via nginx", curl_loops, "200 0", "502 22", "nginx", NGINX),
         ("curl via haproxy", curl_loops, "200 0", "503 22", "haproxy", "http-reuse always")]


def main():
    for name, command in TOOLS.items():
        if shutil.which(command.split()[0]):
            versions[name] = re.search(r"\d+(\.\d+)+", subprocess.getoutput(command))[0]
    for name, content in ("body", BODY), ("small", BODY[:100_000]), ("large", bytes(LIMIT + 1)), ("js", NODE.encode()):
        (TMP / name).write_bytes(content)
    with open(TMP / "gib", "w+b") as file:
        [file.write(random.Random(i).randbytes(1 << 24)) for i in range(64)]
        file.seek(0)
        digest = file_digest(file, "sha256").hexdigest()
    server, upload = farewell(), Server("examples/upload", TMP, "127.0.0.1:0")
    download = Server("examples/download", TMP, "127.0.0.1:0")
    curl_checks("curl", server.url, download.url, digest)
    command_checks(server.url, download.url, f"{upload.url}/files", digest)
    python_checks(server, download, digest)
    socket_checks("sockets", server.url)
    if "fetch" in versions:
        command = ["node", TMP / "js", server.url, download.url, digest]
        for line in subprocess.check_output(command, timeout=120).splitlines():
            what, problem = json.loads(line)
            check("fetch", what, same, "problem", problem, "")
    for name, how, settings in (front for front in FRONTS if front[0] in versions):
        proxy = Proxy(name, (settings, [server]), (settings, [download]))
        curl_checks(f"curl via {name} ({how})", *proxy.urls, digest)
        socket_checks(f"sockets via {name} ({how})", proxy.urls[0])
        check(f"{name} ({how})", "no errors in its log", lambda: same("errors", proxy.errors(), []))
    for name, settings in ("nginx", UPGRADE), ("haproxy", ""):
        check(f"WebSocket via {name}", "echo; 1001 at the stop", web_socket, name, settings)
    for by in "POST /shutdown", "SIGTERM":
        for client, loops, *seen in STOPS:
            check(client, f"stop by {by}", stop, by, loops, *seen)
    check("curl", "stop during a download of 1 GiB", stop_download)
    for client, *arguments in STOPS[3:]:
        check(client, "stop of one of two servers", stop, "SIGTERM", *arguments, True)
    probed = ["http-reuse always\n  option httpchk GET /readyz", True, ["--lame-duck=1s"]]
    check("curl via haproxy", "the same, by /readyz", stop, "SIGTERM", *STOPS[4][1:-1], *probed)
    for row in rows:
        print("{:37}{:15}{:50}{}".format(*row))
    print(f"{len(rows)} in all; missing, and skipped: {', '.join(TOOLS.keys() - versions.keys()) or 'nothing'}")
    return any("FAILED" in row[3] for row in rows)


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        [process.kill() for process in processes if process.poll() is None]
        shutil.rmtree(TMP)
