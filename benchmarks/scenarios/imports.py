"""What importing a library costs a fresh process, in CPU; its bytecode is there already, as an installer leaves it."""

import os
import subprocess
import sys
import tempfile

from benchmarks.contest import Run, Scenario

__all__ = ["imports"]

imports = Scenario(
    name="import",
    title="import, CPU of a fresh process",
    size=3,
    quick=1,
    shows="cost",
    unit="ms",
    floor="anyio + msgspec",
    clock="cpu",
    rounds=5,
)
_TIMED = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def _import(run: Run, modules: str, names: str = "") -> None:
    """Import *modules*, or *names* from one, in fresh processes.

    The first one compiles; the least of the others is what the import costs.
    """
    with tempfile.TemporaryDirectory() as compiled:
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        statement = f"from {modules} import {names}" if names else f"import {modules}"
        command = [sys.executable, "-c", _TIMED.format(statement)]
        seconds = []
        for _ in range(run.size + 1):
            printed = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout  # noqa: S603 – Python
            seconds.append(float(printed.strip().splitlines()[-1]))
    run.found(1, wall=min(seconds[1:]), cpu=min(seconds[1:]))


@imports.contender("anyio + msgspec")
def bare(run: Run) -> None:
    """Import what Ceylon cannot do without."""
    _import(run, "anyio, msgspec")


@imports.contender("ceylon")
def ceylon(run: Run) -> None:
    """Import it; its names are loaded when they are used."""
    _import(run, "ceylon")


@imports.contender("ceylon, its names")
def ceylon_names(run: Run) -> None:
    """Import what a program with agents names."""
    _import(run, "ceylon", "Agent, Mesh, Message, on")


@imports.contender("pykka")
def pykka(run: Run) -> None:
    """Import it."""
    _import(run, "pykka")


@imports.contender("xoscar")
def xoscar(run: Run) -> None:
    """Import it."""
    _import(run, "xoscar")


@imports.contender("thespian")
def thespian(run: Run) -> None:
    """Import its actors."""
    _import(run, "thespian.actors")


@imports.contender("autogen-core")
def autogen_core(run: Run) -> None:
    """Import it."""
    _import(run, "autogen_core")


@imports.contender("everything-is-an-actor")
def everything_is_an_actor(run: Run) -> None:
    """Import it."""
    _import(run, "actor_for_agents")


@imports.contender("casty")
def casty(run: Run) -> None:
    """Import it."""
    _import(run, "casty")


@imports.contender("ray")
def ray(run: Run) -> None:
    """Import it."""
    _import(run, "ray")


@imports.contender("ceylonai-next")
def ceylonai_next(run: Run) -> None:
    """Import it."""
    _import(run, "ceylonai_next")
