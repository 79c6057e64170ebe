"""Before anything is measured: the programs are built, and what is to be written can be."""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_BIN = ROOT / "build/release/bin"
PROGRAMS = ("postern", "postern-load", "postern-maildrop")


class PrepareError(Exception):
    """What is missing, and how to mend it."""


def missing_programs(bin_dir):
    return [name for name in PROGRAMS if not os.access(pathlib.Path(bin_dir, name), os.X_OK)]


def need(command, **more):
    """Runs a step that takes a while, in sight, on standard error: the tables have the other."""
    words = " ".join(str(part) for part in command)
    print(f"run.py: {words}", file=sys.stderr, flush=True)
    try:
        subprocess.run(command, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, **more)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PrepareError(f"{words} failed: {error}") from error


def build(bin_dir, install, run=need):
    """Builds what `bin_dir` lacks, if it is the usual one; a directory that somebody named is theirs."""
    missing = missing_programs(bin_dir)
    if not missing:
        return
    if pathlib.Path(bin_dir).resolve() != DEFAULT_BIN.resolve():
        raise PrepareError(f"{bin_dir} has no {' and no '.join(missing)}: build them there, or omit "
                           "--bin-dir")
    print(f"run.py: {', '.join(missing)} must be built first; that takes some minutes",
          file=sys.stderr, flush=True)
    if install:
        run([ROOT / "deploy/install-deps.sh", "build"])
    if not (ROOT / "build/release/build.ninja").exists():
        # As deploy/quickstart.sh does it: the tests want more packages.
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        run(["cmake", "--preset", "release", "-DPOSTERN_TESTS=OFF", *launcher], cwd=ROOT)
    run(["cmake", "--build", "--preset", "release", "--target", *PROGRAMS], cwd=ROOT)


def check_writable(path):
    """OSError when `path` cannot be written. What stands there stays."""
    there = os.path.exists(path)
    with open(path, "a", encoding="utf-8"):
        pass
    if not there:
        os.unlink(path)
