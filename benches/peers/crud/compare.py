#!/usr/bin/env python3
"""Compares the programs of this workspace, and prints the tables of docs/comparison.md.

    ./compare.py [--checks] [--target DIR] [PACKAGE ...]

The tables have lines, crates, build times, sizes, and what each program answers to requests
and signals. The script builds every package from nothing, without and with `--release`, which
takes a few minutes. Let nothing else run meanwhile. `--checks` leaves the times out: it builds
with what is in the target folder, by default that of cargo.
"""

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # no folder in the repository
import checks

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "farewell": HERE.parents[2] / "examples/crud.rs",
    "axum": HERE / "axum/src/main.rs",
    "actix": HERE / "actix/src/main.rs",
    "rouille": HERE / "rouille/src/main.rs",
}
LIBRARIES = {"actix": "actix-web"}


def cargo(*arguments, target=None):
    """Runs cargo with its own profiles, whatever the environment says."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CARGO_PROFILE_", "CARGO_INCREMENTAL", "RUSTFLAGS"))
    }
    if target is not None:
        environment["CARGO_TARGET_DIR"] = str(target)
    run = subprocess.run(
        ["cargo", *arguments],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if run.returncode != 0:
        sys.exit(f"cargo {' '.join(arguments)}:\n{run.stderr}")
    return run.stdout


def build(package, target, *arguments):
    """Wall time and processor time of a build, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    arguments = ["--offline", "--jobs=2", f"--package=crud-{package}", *arguments]
    cargo("build", "--locked", *arguments, target=target)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def lines(package):
    """The lines that are not blank, and neither comments, attributes nor imports."""
    text = [line.strip() for line in PACKAGES[package].read_text().splitlines()]
    other = ("//", "#[", "#![", "use ")
    return sum(1 for line in text if line and not line.startswith(other))


def tree(package):
    """The crates that are linked or run as macros, the program itself left out."""
    arguments = ["--locked", "--offline", "--edges=normal", "--prefix=none", "--format={p}"]
    listed = cargo("tree", "--package", f"crud-{package}", *arguments).splitlines()
    # A proc-macro and a local path are noted in parentheses.
    crates = {" ".join(line.split()[:2]) for line in listed if line.strip()}
    return {crate for crate in crates if not crate.startswith(f"crud-{package} ")}


def direct(package):
    """The dependencies that the program names."""
    arguments = ["--locked", "--offline", "--edges=normal", "--prefix=none", "--depth=1"]
    listed = cargo("tree", "--package", f"crud-{package}", *arguments).splitlines()
    return [" ".join(line.split()[:2]) for line in listed[1:] if line.strip()]


def measure(package, folder):
    """A row of the first table: title and text."""
    target = Path(folder) / package
    debug, debug_used = build(package, target)
    os.utime(PACKAGES[package])
    again, _ = build(package, target)
    release, release_used = build(package, target, "--release")
    size = (target / "release" / f"crud-{package}").stat().st_size
    return {
        "`cargo build` from nothing": f"{debug:.0f} s",
        "its processor time": f"{debug_used:.0f} s",
        "`cargo build` after a change of the program": f"{again:.1f} s",
        "`cargo build --release` from nothing": f"{release:.0f} s",
        "its processor time ": f"{release_used:.0f} s",
        "size of the release program": f"{size / 2**20:.1f} MiB",
    }, target / "release" / f"crud-{package}"


def table(columns):
    """Markdown of `{package: {row: text}}`."""
    names = [LIBRARIES.get(package, package) for package in columns]
    printed = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row in next(iter(columns.values())):
        cells = [column[row] for column in columns.values()]
        printed.append(f"| {row.strip()} | " + " | ".join(cells) + " |")
    return "\n".join(printed)


def machine():
    """What the figures were measured on."""
    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True)
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    version = " ".join(rustc.stdout.split()[:2])
    day = datetime.date.today().strftime("%-d %b %Y")
    load, _, _ = os.getloadavg()
    kernel = platform.release()
    return f"{day}; {os.cpu_count()} cores, {model}, Linux {kernel}; {version}; load {load:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", action="store_true", help="measure no times")
    parser.add_argument("--target", help="where cargo builds; by default a folder that is removed")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(PACKAGES))
    options = parser.parse_args()
    packages = options.packages or list(PACKAGES)

    cargo("fetch", "--locked")
    measured_on = machine()
    figures = {package: {} for package in packages}
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            crates = tree(package)
            figures[package]["lines of code"] = str(lines(package))
            all_lines = len(PACKAGES[package].read_text().splitlines())
            figures[package]["all lines of the file"] = str(all_lines)
            figures[package]["crates, those of `cargo tree`"] = str(len(crates))
            figures[package]["of these named by the program"] = str(len(direct(package)))
            if options.checks:
                cargo("build", "--locked", "--package", f"crud-{package}", target=options.target)
                target = options.target or os.environ.get("CARGO_TARGET_DIR", HERE / "target")
                program = Path(target) / "debug" / f"crud-{package}"
            else:
                times, program = measure(package, options.target or folder)
                figures[package].update(times)
            print(package, figures[package], file=sys.stderr)
            answers[package] = checks.of(program)
    print(measured_on)
    for package in packages:
        print(f"- {package}: {', '.join(direct(package))}")
    print("", table(figures), "", table(answers), sep="\n")


main()
