"""From the start of a Python process to its first reply; the programs are in `benchmarks/hello`."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contest import Run, Scenario

__all__ = ["start"]

start = Scenario(
    name="start",
    title="fresh process, from its start to its first reply",
    size=5,
    quick=1,
    shows="cost",
    unit="ms",
    clock="wall",
)
_PROGRAMS = Path(__file__).resolve().parent.parent / "hello"


def _start(run: Run, program: str) -> None:
    """Start *program* several times, the first one compiles; the least of the times is what it takes."""
    with tempfile.TemporaryDirectory() as compiled:
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        seconds = []
        command = [sys.executable, str(_PROGRAMS / program)]
        for _ in range(run.size + 1):
            began = time.perf_counter()
            with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – ours
                assert process.stdout is not None
                assert process.stdout.readline().strip() == "hello"
                seconds.append(time.perf_counter() - began)
            assert process.returncode == 0
    run.found(1, wall=min(seconds[1:]), cpu=min(seconds[1:]))


@start.contender("bare asyncio")
def bare(run: Run) -> None:
    """Start it."""
    _start(run, "with_bare_asyncio.py")


@start.contender("ceylon")
def ceylon(run: Run) -> None:
    """Start it."""
    _start(run, "with_ceylon.py")


@start.contender("pykka")
def pykka(run: Run) -> None:
    """Start it."""
    _start(run, "with_pykka.py")


@start.contender("everything-is-an-actor")
def everything_is_an_actor(run: Run) -> None:
    """Start it."""
    _start(run, "with_everything_is_an_actor.py")


@start.contender("casty")
def casty(run: Run) -> None:
    """Start it."""
    _start(run, "with_casty.py")
