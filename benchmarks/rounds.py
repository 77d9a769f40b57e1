"""The parent side: everybody in turn, round by round, each measurement in a fresh process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from benchmarks.contenders import Contender
from benchmarks.contest import MARK, Clock, Scenario
from benchmarks.environments import ROOT, Environment

__all__ = ["Entrant", "Measurement", "beside", "measure"]

_SOURCE = ROOT / "src"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What one process found; `error` is its traceback, or what became of it, if it broke."""

    round: int
    count: int = 0
    wall: float | None = None
    cpu: float | None = None
    figures: dict[str, float] = {}
    took: float = 0.0
    error: str | None = None


class Entrant(msgspec.Struct, kw_only=True):
    """A contender on one Python and one loop, with what was measured."""

    contender: str
    python: str
    loop: str
    clock: Clock
    size: int
    measurements: list[Measurement] = []

    @property
    def error(self) -> str | None:
        """What broke first, if anything did."""
        return next((each.error for each in self.measurements if each.error is not None), None)


class Order(msgspec.Struct, frozen=True):
    """What a child is told."""

    module: str
    scenario: str
    contender: str
    size: int
    clock: Clock
    loop: str
    beside: str
    leaves_threads: bool


@contextlib.contextmanager
def beside(scenario: Scenario) -> Iterator[str]:
    """Run the process that *scenario* wants beside it, on the last core; give the first line it prints."""
    if not scenario.beside:
        yield ""
        return
    command = [sys.executable, "-m", *scenario.beside]
    with subprocess.Popen(command, cwd=ROOT, env=_variables(home=True), stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – ours
        assert process.stdout is not None
        _pin(process.pid, last=True)
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measure(
    scenario: Scenario, module: str, entrant: Entrant, place: tuple[Contender, Environment], at: tuple[int, str]
) -> Measurement:
    """Measure *entrant* once, in round `at[0]`, with the line `at[1]` that the process beside printed."""
    contender, environment = place
    order = Order(
        module=module,
        scenario=scenario.name,
        contender=entrant.contender,
        size=entrant.size,
        clock=entrant.clock,
        loop=entrant.loop,
        beside=at[1],
        leaves_threads=contender.leaves_threads,
    )
    began = _elapsed()
    answer = _run(environment.python, order, scenario, home=contender.home)
    return msgspec.convert({**answer, "round": at[0], "took": _elapsed() - began}, Measurement)


def _run(python: str, order: Order, scenario: Scenario, *, home: bool) -> dict[str, Any]:
    text = msgspec.json.encode(order).decode()
    command = [python, "-c", "from benchmarks.contest import main; main()", text]
    process = subprocess.Popen(  # noqa: S603 – our own module
        command,
        cwd=ROOT,
        env=_variables(home=home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if scenario.beside:
        _pin(process.pid, last=False)
    try:
        printed, complaints = process.communicate(timeout=scenario.timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {scenario.timeout:g} s"}
    finally:
        with contextlib.suppress(ProcessLookupError):  # it, and whatever it left running
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = [line.removeprefix(MARK) for line in printed.splitlines() if line.startswith(MARK)]
    if not lines:
        return {"error": f"ended with {process.returncode} and no answer: {complaints[-2_000:]}"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _variables(*, home: bool) -> dict[str, str]:
    """Return a child's variables: it finds our modules (a rival's only the benchmarks), and writes bytecode."""
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(_SOURCE)]
    path = os.pathsep.join([str(ROOT), *([str(_SOURCE)] if home else []), *given])
    dropped = {"PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def _pin(process: int, *, last: bool) -> None:
    """Keep *process* on the last core, or off it, where the machine has two and lets us choose."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(process, cores[-1:] if last else cores[:-1])


def _elapsed() -> float:
    return os.times().elapsed
