#!/usr/bin/env python3
"""Compares what nginx and the example `files` answer to conditions and ranges, for the same files.

    cargo build --release --example files --features files
    python3 tests/interop/files.py [--short] [--seed N] [PROGRAM]

The script sends some thousands of generated combinations of If-Match, If-None-Match, If-Modified-Since,
If-Unmodified-Since, If-Range and Range to both servers. It knows beforehand what RFC 9110 demands, and what nginx
does differently:

- The example has to answer each request as the RFC says, byte by byte.
- nginx has to answer as foreseen, and each of its differences needs a reason that names a section of the RFC.

It prints a table of the differences. It exits with 1 if an answer is another one, if a difference has no reason, or
if a reason explains nothing any more; with 77 if nginx 1.22 is not installed. It needs Python 3.11, listens on
127.0.0.1 only, and by default looks for PROGRAM in CARGO_TARGET_DIR.
"""

import argparse, http.client, os, random, re, shutil, socket, subprocess, sys, tempfile, time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path

BUILT = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[2] / "target")) / "release"
SIZES = (0, 1, 10, 1000, 100_000)
CONTENT = {size: random.Random(size).randbytes(size) for size in SIZES}
TYPE = "application/octet-stream"  # of the files, with both servers
MODIFIED = 1_600_000_000  # in seconds; the files are 999 ms younger
RANGES_MAX = 64  # of farewell
NGINX = "1.22."  # the version whose differences are known; that of Debian 12
SKIPPED = 77  # the exit code


# --- What is sent -------------------------------------------------------------------------------------------------

def date(seconds, form="%a, %d %b %Y %H:%M:%S GMT"):
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime(form)


# {etag} is the entity tag of the file, {bare} the same without quotes. A tuple is several lines.
TAGS = ["*", "{etag}", "W/{etag}", '"x"', '"x", {etag}', '{etag},"x"', '"x","y"', ', ,{etag}\t, ', '"a,b", W/{etag}',
        '""', '"*"', '"\xe9", {etag}', "", ",", ('"x"', "{etag}"), ("{etag}", '"x"'), ("W/{etag}", "{etag}"),
        # Malformed.
        "x", "{bare}", '"{bare}', "{etag} x", "{etag}x", "x {etag}", "x, {etag}", "{etag}, *", "*, {etag}", "**",
        "w/{etag}", '"a b", {etag}', ("*", "*")]
DATES = [*map(date, (MODIFIED - 1, MODIFIED, MODIFIED + 1, 253_402_300_799, 0, -1, -2_208_988_800)),
         date(MODIFIED - 1, "%A, %d-%b-%y %H:%M:%S GMT"), date(MODIFIED, "%A, %d-%b-%y %H:%M:%S GMT"),
         date(MODIFIED - 1, "%a %b %d %H:%M:%S %Y"), date(MODIFIED, "%a %b %d %H:%M:%S %Y"),
         # Malformed.
         "", "yesterday", str(MODIFIED), date(MODIFIED, "%a, %d %b %Y %H:%M:%S"),
         date(MODIFIED, "Xyz, %d %b %Y %H:%M:%S GMT"),
         date(MODIFIED - 1, "%a, %d %b %Y %H:%M:%S +0100"), "Sun, 31 Feb 2020 10:00:00 GMT",
         ", ".join([date(MODIFIED)] * 2), (date(MODIFIED), date(MODIFIED - 1)), "{etag}"]
IF_RANGES = ["{etag}", "W/{etag}", '"x"', '"x", {etag}', "{etag}, {etag}", '"{bare}', "{bare}", "*", '"', "",
             ("{etag}", "{etag}"), ('"x"', "{etag}"), *DATES[:3], *DATES[8:11:2], *DATES[11:17], DATES[18]]
ENDS = ["0", "1", "9", "{L-2}", "{L-1}", "{L}", "{L+1}", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "99999999999999999999999999"]
RANGES = [*(f"bytes={first}-" for first in ENDS), *(f"bytes=0-{last}" for last in ENDS),
          *(f"bytes=-{suffix}" for suffix in ENDS), "bytes={L-1}-{L-1}", "bytes={L-1}-{L}", "bytes={L}-{L+1}",
          "bytes=00-007", "BYTES=0-0", "Bytes=-1", "bytes= 0-0", "bytes=0-0 , 2-3", "bytes=\t0-0", "bytes=0-0,\t2-3",
          "bytes=0-0,2-3", "bytes=2-3,0-0", "bytes=0-0,-1", "bytes=-1,0-0", "bytes=0-1,1-2", "bytes=0-1,2-3",
          "bytes=2-3,0-1",
          "bytes=0-5,2-3", "bytes=0-,0-", "bytes=0-,-1", "bytes=0-0,0-0", "bytes=0-0,{L}-", "bytes={L}-,{L+1}-",
          "bytes=-0,0-0",
          "bytes=-0,{L}-", "bytes=0-{L},2-3", f"bytes={','.join(f'{2 * n}-{2 * n}' for n in range(RANGES_MAX))}",
          f"bytes={','.join(f'{2 * n}-{2 * n}' for n in range(RANGES_MAX + 1))}", "bytes=" + ",".join(["0-"] * 500),
          # Empty members of the list.
          "bytes=,0-0", "bytes=0-0,", "bytes=0-0,,2-3", "bytes= ,0-0",
          # Invalid, or of another unit.
          "", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=--1", "bytes=0", "bytes=a-b", "bytes=0-b", "bytes=+0-1",
          "bytes=0 - 1", "bytes=0- 1", "bytes=0-1-2", "bytes=1-0", "bytes=2-1,0-0", "bytes=0-0,2-1", "bytes=0-0;2-3",
          "bytes=0-0,x", "bytes={L+1}-{L}", "bytes=0x0-1", "bytes=0.0-1", "bytes =0-0", "byte=0-0", "lines=0-0", "none",
          "bytes=0-0 2-3", ("bytes=0-0", "bytes=2-3"), ("bytes=0-0", "lines=2-3")]
VALUES = {"If-Match": TAGS, "If-Unmodified-Since": DATES, "If-None-Match": TAGS, "If-Modified-Since": DATES,
          "If-Range": IF_RANGES, "Range": RANGES}


class Request:
    """A request for the file of this size. The values of its fields are for a file with this entity tag."""

    def __init__(self, method, size, **fields):
        self.method, self.size, self.fields = method, size, fields

    def without(self, name):
        fields = {other: value for other, value in self.fields.items() if other != name}
        return Request(self.method, self.size, **fields)

    def lines(self, name, etag):
        """The lines of a field, without the blanks around them."""
        value = self.fields.get(name, ())
        lines = (value,) if isinstance(value, str) else value
        length = lambda match: str(max(0, self.size + int(match[1] or 0)))
        lines = [re.sub(r"\{L([+-]\d)?\}", length, line) for line in lines]
        return [line.replace("{etag}", etag).replace("{bare}", etag.strip('"')).strip(" \t") for line in lines]

    def __str__(self):
        fields = "; ".join(f"{name}: {value}" for name, value in self.fields.items())
        return f"{self.method} {self.size}.bin, {fields}"


def random_range(rng):
    """A set of ranges that is often valid, often overlaps, and is about as long as the file."""
    end = lambda: rng.choice([str(rng.randrange(12)), str(rng.randrange(1100)), *ENDS[3:7]])
    short = lambda: f"{rng.randrange(6)}-{rng.randrange(5, 1100)}"
    member = lambda: rng.choice([f"{end()}-{end()}", short(), f"{end()}-", f"-{end()}"])
    members = [member() for _ in range(rng.choice([1, 1, 2, 2, 3, 5, 70]))]
    return "bytes=" + rng.choice([",", ", ", " ,"]).join(members)


def requests(rng):
    """Each value alone, with each file; each pair of values of two fields; and anything beside anything."""
    fields = list(VALUES)
    for size in SIZES:
        for method in ("GET", "HEAD"):
            yield Request(method, size)
            for name in fields:
                for value in VALUES[name]:
                    yield Request(method, size, **{name: value})
    for one, other in ((one, other) for index, one in enumerate(fields) for other in fields[index + 1:]):
        for value in VALUES[one]:
            for beside in VALUES[other]:
                size = rng.choice(SIZES[1:])
                yield Request(rng.choice(["GET", "GET", "HEAD"]), size, **{one: value, other: beside})
    for _ in range(4000):
        chosen = {name: rng.choice(VALUES[name]) for name in fields if rng.random() < 0.4}
        if rng.random() < 0.7:
            chosen["Range"] = random_range(rng)
        if rng.random() < 0.3:
            chosen["If-Range"] = "{etag}"
        yield Request(rng.choice(["GET", "GET", "GET", "HEAD"]), rng.choice(SIZES), **chosen)


# --- What RFC 9110 demands, with the choices of farewell where it leaves one ---------------------------------------

TAG = r'((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")'
LIST = re.compile(rf"[ \t,]*(?:{TAG}[ \t]*(?:,[ \t,]*{TAG}[ \t]*)*(?:,[ \t,]*)?)?")
FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")  # 5.6.7


def tags(lines):
    """The members of a list, or None if it is malformed."""
    text = ",".join(lines)  # 5.2
    return None if LIST.fullmatch(text) is None else re.findall(TAG, text)


def names(lines, etag, weak):
    if lines == ["*"]:
        return True
    listed = tags(lines)
    if listed is None:
        return False  # the "otherwise" of 13.1.1 and 13.1.2
    return etag in listed or weak and f"W/{etag}" in listed


def http_date(lines):
    """Seconds, or None if it is not one valid date."""
    for form in FORMS if len(lines) == 1 else ():
        with suppress(ValueError):
            parsed = datetime.strptime(lines[0], form)
            if parsed.strftime(form) == lines[0]:
                return (parsed - datetime(1970, 1, 1)) // timedelta(seconds=1)
    return None


def rfc_conditions(request, etag):
    """13.2.2, steps 1 to 4."""
    lines = lambda name: request.lines(name, etag)
    if lines("If-Match"):
        if not names(lines("If-Match"), etag, weak=False):
            return 412
    elif (since := http_date(lines("If-Unmodified-Since"))) is not None and MODIFIED > since:
        return 412
    if lines("If-None-Match"):
        return 304 if names(lines("If-None-Match"), etag, weak=True) else 200
    since = http_date(lines("If-Modified-Since"))
    return 304 if since is not None and MODIFIED <= since else 200


def rfc_range_applies(request, etag):
    """13.1.5, and the GET of 14.2."""
    lines = request.lines("If-Range", etag)
    return request.method == "GET" and (not lines or lines == [etag] or http_date(lines) == MODIFIED)


def parsed_set(lines):
    """The members of a set, or None if it is no valid set of bytes (14.1.1, 14.1.2)."""
    match = re.fullmatch(r"bytes=(.*)", lines[0], re.IGNORECASE) if len(lines) == 1 else None
    members = [member.strip(" \t") for member in match[1].split(",")] if match else []
    members = [re.fullmatch(r"(\d*)-(\d*)", member, re.ASCII) for member in members if member]
    if not members or None in members:
        return None
    pairs = [match.groups() for match in members]
    invalid = lambda first, last: first == last == "" or first and last and int(first) > int(last)
    return None if any(invalid(*pair) for pair in pairs) else pairs


def satisfiable(pairs, size):
    """As first byte and byte behind the last (14.1.2)."""
    for first, last in pairs:
        begin = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if begin < end:
            yield begin, end


def coalesced(ranges):
    """15.3.7.2: what overlaps or touches is one, in the place of the first."""
    groups = []
    for begin, end in ranges:
        touching = [group for group in groups if begin <= group[1] and group[0] <= end]
        place = groups.index(touching[0]) if touching else len(groups)
        groups = [group for group in groups if group not in touching]
        begins, ends = zip((begin, end), *touching)
        groups.insert(place, (min(begins), max(ends)))
    return tuple(groups)


def rfc_ranges(request, etag):
    pairs = parsed_set(request.lines("Range", etag))
    if pairs is None or request.size == 0 or len(pairs) > RANGES_MAX:
        return 200
    return coalesced(satisfiable(pairs, request.size)) or 416


# --- What nginx 1.22 does ------------------------------------------------------------------------------------------

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def nginx_names(text, etag, weak):
    """Compares piece by piece, between commas."""
    if text == "*":
        return True
    pieces = (piece.strip(" \t") for piece in text.split(","))
    return any((piece.removeprefix("W/") if weak else piece) == etag for piece in pieces)


def nginx_date(text):
    """Looks neither at the name of the day nor behind the seconds. -1 for what is no date."""
    clock = r"(\d\d):(\d\d):(\d\d)"
    for form in (rf"[^, ]*, *(?P<d>\d\d) (?P<m>\w{{3}}) (?P<y>\d{{4}}) {clock}",
                 rf"[^, ]*, *(?P<d>\d\d)-(?P<m>\w{{3}})-(?P<y>\d\d) {clock}",
                 rf"[^, ]* +(?P<m>\w{{3}}) (?P<d>[ \d]\d) {clock} (?P<y>\d{{4}})"):
        match = re.match(form, text, re.ASCII)
        with suppress(ValueError):
            if match:
                year = int(match["y"])
                year += 0 if len(match["y"]) == 4 else 2000 if year < 70 else 1900
                time_of_day = map(int, re.search(clock, text).groups())
                parsed = datetime(year, MONTHS.index(match["m"]) + 1, int(match["d"]), *time_of_day)
                return (parsed - datetime(1970, 1, 1)) // timedelta(seconds=1)
    return -1


ONCE = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "If-Range")


def nginx_conditions(request, etag):
    if any(len(request.lines(name, etag)) > 1 for name in ONCE):
        return 400
    first = lambda name: next(iter(request.lines(name, etag)), None)
    if (text := first("If-Unmodified-Since")) is not None and nginx_date(text) < MODIFIED:
        return 412
    if (text := first("If-Match")) is not None and not nginx_names(text, etag, weak=False):
        return 412
    since, tag = first("If-Modified-Since"), first("If-None-Match")
    if since is None and tag is None:
        return 200
    modified = since is not None and nginx_date(since) < MODIFIED
    return 200 if modified or tag is not None and not nginx_names(tag, etag, weak=True) else 304


def nginx_range_applies(request, etag):
    text = next(iter(request.lines("If-Range", etag)), None)
    if text is None:
        return True
    return text == etag if len(text) >= 2 and text.endswith('"') else nginx_date(text) == MODIFIED


def nginx_ranges(request, etag):
    text, size = next(iter(request.lines("Range", etag)), ""), request.size
    if len(text) < 7 or text[:6].lower() != "bytes=":
        return 200
    ranges = []
    for member in text[6:].split(","):
        match = re.fullmatch(r" *(?:(\d+) *- *(\d*)|-(\d+)) *", member, re.ASCII)
        if match is None or any(int(number) >= 2**63 for number in match.groups() if number):
            return 416
        first, last, suffix = match.groups()
        begin = int(first) if first else max(0, size - int(suffix))
        end = min(size, int(last) + 1) if last else size
        if begin < end:
            ranges.append((begin, end))
        elif begin == 0:
            return 200
    if not ranges:
        return 416
    return 200 if sum(end - begin for begin, end in ranges) > size else tuple(ranges)


# --- Why they differ -----------------------------------------------------------------------------------------------

def several_lines(name):
    return lambda request, etag: len(request.lines(name, etag)) > 1


def malformed_tags(request, etag):
    lists = [request.lines(name, etag) for name in ("If-Match", "If-None-Match")]
    return any(lines and lines != ["*"] and tags(lines) is None for lines in lists)


def no_date(name):
    return lambda request, etag: bool(lines := request.lines(name, etag)) and http_date(lines) is None


def beside(one, other):
    return lambda request, etag: bool(request.lines(one, etag) and request.lines(other, etag))


def text_of(request, etag):
    return next(iter(request.lines("Range", etag)), "")


def members(request, etag):
    return [member.strip(" \t") for member in text_of(request, etag).partition("=")[2].split(",")]


def found(pattern):
    return lambda request, etag: any(re.search(pattern, member) for member in members(request, etag))


def reversed_range(request, etag):
    pairs = [re.fullmatch(r"(\d+) *- *(\d+)", member, re.ASCII) for member in members(request, etag)]
    return any(pair and int(pair[1]) > int(pair[2]) for pair in pairs)


def touching(request, etag):
    ranges = list(satisfiable(parsed_set(request.lines("Range", etag)) or (), request.size))
    return len(coalesced(ranges)) < len(ranges)


def invalid_set(request, etag):
    lines = request.lines("Range", etag)
    return parsed_set(lines) is None and not reversed_range(request, etag)


def ignored(name, when):
    """Whether nginx would answer otherwise without this field."""
    def concerns(request, etag):
        return when(request, etag) and nginx_conditions(request, etag) != nginx_conditions(request.without(name), etag)
    return concerns


# The section, the difference, and whether it concerns a request: the lines of the fields, then the conditions, then
# the ranges. The first one that concerns a request explains its difference.
LINES = [
    ("5.2", "several lines of If-Match are one list: nginx sends 400", several_lines("If-Match")),
    ("5.2", "several lines of If-None-Match are one list: nginx sends 400", several_lines("If-None-Match")),
    ("13.1.4", "an If-Unmodified-Since of several lines is to be ignored: nginx sends 400",
     several_lines("If-Unmodified-Since")),
    ("13.1.3", "an If-Modified-Since of several lines is to be ignored: nginx sends 400",
     several_lines("If-Modified-Since")),
    ("13.1.5", "an If-Range of several lines is false: nginx sends 400", several_lines("If-Range")),
]
CONDITIONS = [
    ("13.1.4", "an If-Unmodified-Since that is no date is to be ignored: nginx sends 412, or reads a date in it",
     ignored("If-Unmodified-Since", no_date("If-Unmodified-Since"))),
    ("13.1.4", "beside If-Match, If-Unmodified-Since is to be ignored: nginx evaluates it",
     ignored("If-Unmodified-Since", beside("If-Match", "If-Unmodified-Since"))),
    ("13.1.3", "beside If-None-Match, If-Modified-Since is to be ignored: for nginx both have to say 304",
     ignored("If-Modified-Since", beside("If-None-Match", "If-Modified-Since"))),
    ("13.1.3", "an If-Modified-Since that is no date is to be ignored: nginx reads a date in it",
     ignored("If-Modified-Since", no_date("If-Modified-Since"))),
    ("13.1.1, 13.1.2", "a list with a malformed member is no list of tags: nginx finds the tag in it", malformed_tags),
]
IF_RANGE = [
    ("14.2", "Range is to be ignored for HEAD: nginx sends 206 and 416",
     lambda request, etag: request.method == "HEAD"),
    ("13.1.5", "an If-Range that is neither tag nor date is false: nginx reads a date in it", no_date("If-Range")),
]
SETS = [
    ("5.3", "several lines of Range are invalid: nginx reads the first", several_lines("Range")),
    ("14.2", "Range may be ignored for an empty file: nginx sends 416, unless a range begins at 0",
     lambda request, etag: request.size == 0),
    ("17.15", "a set of more than 64 ranges is ignored: nginx sends any number, or 416",
     lambda request, etag: len(members(request, etag)) > RANGES_MAX),
    ("14.1.1", "a range that ends before it begins makes the set invalid: nginx skips it", reversed_range),
    ("14.1.1", "blanks inside a range make the set invalid: nginx skips spaces", found(r"\d +-|- +\d")),
    ("14.2", "an invalid set may be ignored: nginx sends 416", invalid_set),
    ("5.6.1.2", "empty members of a list are to be ignored: nginx sends 416", found(r"^$")),
    ("5.6.3", "tabs are blanks like spaces: nginx sends 416", lambda request, etag: "\t" in text_of(request, etag)),
    ("14.1.2", "a position behind the end may have any number of digits: nginx sends 416 from 2^63 on",
     found(r"\d{19}")),
    ("15.3.7.2", "ranges that overlap or touch may be made one: nginx sends them as asked, or a file that is shorter",
     touching),
]


def reason(request, etag):
    """Which difference there is between the RFC and nginx, by the step where they part; None if there is none."""
    wanted, foreseen = rfc_conditions(request, etag), nginx_conditions(request, etag)
    if wanted != foreseen:
        reasons = LINES if foreseen == 400 else CONDITIONS
    elif outcome(request, etag, "rfc") == outcome(request, etag, "nginx"):
        return None
    elif rfc_range_applies(request, etag) != nginx_range_applies(request, etag) or request.method == "HEAD":
        reasons = IF_RANGE
    else:
        reasons = SETS
    return next((one for one in reasons if one[2](request, etag)), "?")


def outcome(request, etag, by):
    """A status, or the ranges of a 206."""
    model = globals()
    status = model[f"{by}_conditions"](request, etag)
    if status == 200 and request.lines("Range", etag) and model[f"{by}_range_applies"](request, etag):
        return model[f"{by}_ranges"](request, etag)
    return status


# --- What is answered ----------------------------------------------------------------------------------------------

class Wrong(Exception):
    """An answer that contradicts itself or the file."""


def expect(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: {got!r}, not {wanted!r}")


class Server:
    """A connection to a server, and the entity tags that it gives."""

    def __init__(self, stack, port, closes):
        self.closes = closes
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        stack.callback(self.connection.close)
        self.etags = {}
        for size in SIZES:
            answer, _ = self.send("GET", size, [])
            self.etags[size] = answer.headers["ETag"]
            expect("a strong ETag", re.fullmatch(r'"[!#-~]+"', self.etags[size]) is not None, True)

    def send(self, method, size, fields):
        """After a 412, nginx closes the connection without saying so: then it is opened again."""
        try:
            return self.send_once(method, size, fields)
        except ConnectionError:
            if not self.closes:
                raise
            self.connection.close()
            return self.send_once(method, size, fields)

    def send_once(self, method, size, fields):
        self.connection.putrequest(method, f"/{size}.bin", skip_accept_encoding=True)
        for name, line in fields:
            self.connection.putheader(name, line)
        self.connection.endheaders()
        answer = self.connection.getresponse()
        return answer, answer.read()

    def outcome(self, request):
        """Status or ranges, as `outcome` has them. All else in the answer is checked here."""
        etag = self.etags[request.size]
        fields = [(name, line) for name in request.fields for line in request.lines(name, etag)]
        answer, body = self.send(request.method, request.size, fields)
        status, headers = answer.status, answer.headers
        if status == 416:
            expect("Content-Range", headers["Content-Range"], f"bytes */{request.size}")
        if status in (400, 412, 416):
            return status
        # 8.8, 15.3.7 and 15.4.5: what a 200 would have.
        expect("ETag", headers["ETag"], etag)
        expect("Last-Modified", headers["Last-Modified"], date(MODIFIED))
        if status == 304:
            expect("the length of a 304", headers["Content-Length"] in (None, str(request.size)), True)
            expect("the body of a 304", body, b"")
            return status
        if request.method == "HEAD":
            expect("the body of a HEAD", body, b"")
        else:
            expect("Content-Length", headers["Content-Length"], str(len(body)))
        if status == 200:
            expect("Content-Length", headers["Content-Length"], str(request.size))
            expect("Content-Range", headers["Content-Range"], None)
            expect("Content-Type", headers["Content-Type"], TYPE)
            expect("the body", request.method == "HEAD" or body == CONTENT[request.size], True)
            return status
        expect("status", status, 206)
        if headers["Content-Type"] == TYPE:
            return (part(headers["Content-Range"], body if request.method == "GET" else None, request.size),)
        expect("Content-Range beside several parts", headers["Content-Range"], None)
        return parts(headers["Content-Type"], body, request.size) if request.method == "GET" else "several"


def part(content_range, data, size):
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range or "")
    expect("a Content-Range", match and int(match[3]), size)
    begin, end = int(match[1]), int(match[2]) + 1
    expect("the bytes of the range", data in (None, CONTENT[size][begin:end]), True)
    return begin, end


def parts(content_type, body, size):
    """The ranges of a multipart/byteranges (14.6). Its parts are as long as their fields say."""
    boundary = re.fullmatch(r'multipart/byteranges; boundary="?([^"]+)"?', content_type)[1].encode("latin-1")
    ranges, rest = [], body.removeprefix(b"\r\n")
    while rest != b"--" + boundary + b"--\r\n":
        head, blank, rest = rest.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        expect("a boundary", (first, blank), (b"--" + boundary, b"\r\n\r\n"))
        fields = [line.decode().partition(": ") for line in fields]
        fields = {name.lower(): value for name, _, value in fields}
        expect("the fields of a part", sorted(fields), ["content-range", "content-type"])
        expect("Content-Type of a part", fields["content-type"], TYPE)
        begin, end = part(fields["content-range"], None, size)
        expect("the bytes of a part", rest[: end - begin + 2], CONTENT[size][begin:end] + b"\r\n")
        ranges.append((begin, end))
        rest = rest[end - begin + 2 :]
    expect("several parts", len(ranges) > 1, True)
    return tuple(ranges)


# --- The servers, and the comparison -------------------------------------------------------------------------------

def nginx_version():
    """Empty if nginx is not installed."""
    if shutil.which("nginx") is None:
        return ""
    printed = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True).stderr
    return printed.rpartition("nginx/")[2].strip()


def start_nginx(stack, folder, served):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""daemon off; worker_processes 1; {user} pid {folder}/nginx.pid;
        error_log {folder}/nginx.log; events {{ }}
        http {{ access_log off; keepalive_requests 1000000; default_type {TYPE}; if_modified_since before;
            large_client_header_buffers 4 32k; {temporary}
            server {{ listen 127.0.0.1:{port}; root {served}; }} }}\n""")
    nginx = subprocess.Popen(["nginx", "-p", folder, "-e", folder / "nginx.log", "-c", folder / "nginx.conf"])
    stack.callback(lambda: (nginx.terminate(), nginx.wait(20)))
    while nginx.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return port
        time.sleep(0.01)
    sys.exit("nginx does not start:\n" + (folder / "nginx.log").read_text())


def start_files(stack, program, served):
    files = subprocess.Popen([program, served, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    stack.callback(lambda: (files.terminate(), files.communicate(timeout=20)))
    address = re.search(r"http://127\.0\.0\.1:(\d+)", files.stdout.readline())
    return int(address[1]) if address else sys.exit(f"{program} does not say where it listens")


def compare(request, ours, nginx):
    """The reason of the difference, or None. A failure is a text."""
    for name, server, model in (("files", ours, "rfc"), ("nginx", nginx, "nginx")):
        wanted = outcome(request, server.etags[request.size], model)
        if request.method == "HEAD" and isinstance(wanted, tuple) and len(wanted) > 1:
            wanted = "several"
        try:
            got = server.outcome(request)
        except Wrong as wrong:
            return f"{request}: {name}: {wrong}"
        if got != wanted:
            return f"{request}: {name}: {got}, not {wanted}"
    why = reason(request, nginx.etags[request.size])
    return f"{request}: a difference without a reason" if why == "?" else why


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="every twentieth request")
    parser.add_argument("--seed", type=int, default=1, help="of the random combinations")
    parser.add_argument("program", nargs="?", default=BUILT / "examples" / "files", help="the example")
    options = parser.parse_args()
    found = nginx_version()
    if not found.startswith(NGINX):
        print(f"skipped: nginx {NGINX}x is not installed, but {found or 'none'}")
        sys.exit(SKIPPED)

    rng = random.Random(options.seed)
    sent = list(requests(rng))
    sent = sent[::20] if options.short else sent
    differences, failures = Counter(), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = folder / "served"
        served.mkdir()
        for size, content in CONTENT.items():
            (served / f"{size}.bin").write_bytes(content)
            os.utime(served / f"{size}.bin", ns=(MODIFIED * 10**9 + 999_000_000,) * 2)
        nginx = Server(stack, start_nginx(stack, folder, served), closes=True)
        ours = Server(stack, start_files(stack, options.program, served), closes=False)
        for request in sent:
            result = compare(request, ours, nginx)
            if isinstance(result, str):
                failures.append(result)
            elif result is not None:
                differences[result[:2]] += 1

    print(f"{len(sent)} requests to each\n\n| requests | RFC 9110 | |\n|---|---|---|")
    known = [rule[:2] for rule in LINES + CONDITIONS + IF_RANGE + SETS]
    for rule in known:
        print(f"| {differences[rule]} | {rule[0]} | {rule[1]} |")
        if not differences[rule] and not options.short:
            failures.append(f"explains nothing: {rule[1]}")
    for failure in failures[:20]:
        print(f"FAILED: {failure}", file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} failures")


if __name__ == "__main__":
    main()
