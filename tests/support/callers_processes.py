"""Callers that are processes of their own: programs to their end, and servers for as long as a test needs them."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["PROGRAMS", "environment", "run_program", "serving"]

TESTS: Final = Path(__file__).parents[1]
PROGRAMS: Final = TESTS / "callers" / "programs"
DEADLINE: Final = 90.0


def environment() -> dict[str, str]:
    """Return the environment of a program that shares these tests' agents."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _command(program: str, *arguments: str) -> list[str]:
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]  # os.fork beside threads, since 3.12
    return [sys.executable, *warnings, str(PROGRAMS / program), *arguments]


def run_program(program: str, *arguments: str) -> str:
    """Run a program to its end; return what it wrote. Any word on standard error is a failure."""
    done = subprocess.run(  # noqa: S603 – our own program
        _command(program, *arguments), env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(program: str, *arguments: str) -> Iterator[str]:
    """Run a server, which writes its URL first, and end it as an operator does."""
    with subprocess.Popen(  # noqa: S603 – our own program
        _command(program, *arguments), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()
