"""What the comparisons with other programs share: running a program that prints one JSON document, finding a Python
that has a package, and words for a terminal."""

import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REFNORM = os.path.join(ROOT, "build", "release", "refnorm")


class Failure(Exception):
    pass


class Parser(argparse.ArgumentParser):
    """One line on errors."""

    def error(self, message):
        self.exit(2, f"{os.path.basename(self.prog)}: error: {message} (see --help)\n")


def environment(threads):
    """Pools are sized when a library loads; alike for both programs."""
    return dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))


def output_of(command, threads, what):
    try:
        done = subprocess.run(command, env=environment(threads), cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}")
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Failure(f"{what}: {words[-1]}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failure(f"{what}: printed no JSON")


def find_python(asked, package="torch"):
    """A Python that has the package: Debian's first, whose LibTorch is the one that refnorm links."""
    candidates = [asked] if asked else ["/usr/bin/python3", sys.executable, "python3"]
    for candidate in candidates:
        try:
            if subprocess.run([candidate, "-c", f"import {package}"], capture_output=True).returncode == 0:
                return candidate
        except OSError:
            pass
    if asked:
        raise Failure(f"--python {asked}: cannot import {package}")
    raise Failure(f"no Python here has {package}; install one (Debian: python3-{package}) or name one with --python")


def check_program(program):
    if not os.access(program, os.X_OK):
        raise Failure(f"{program}: not there; ./dev build makes it, or name one with --refnorm")


def load_at_start():
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"the machine is busy (load {load:.1f}); figures taken now are not to be relied on")
    return load


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}


def with_spread(values, form):
    return "{} ({} to {})".format(*(format(values[key], form) for key in ("median", "min", "max")))


def say(line):
    print(line, file=sys.stderr, flush=True)


def columns(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])])
                     .rstrip() for row in rows)


def where(setup):
    return "on a GPU" if setup["device"] == "cuda" else f"{setup['threads']} threads"


def write_json(file, document):
    try:
        with open(file, "w") as out:
            json.dump(document, out, indent=2)
            out.write("\n")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}")


def run(name, main):
    """main(), with failures and Ctrl-C as one line."""
    try:
        main()
    except Failure as failure:
        sys.exit(f"{name}: error: {failure}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: stopped")
