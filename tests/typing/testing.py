# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of simulations and probes; never run."""

from collections.abc import Callable
from typing import Any, assert_type

from ceylon import Mesh, Message
from ceylon.testing import BlockingProbe, Faults, Probe, Simulation, simulate


class Told(Message, tag="typing.testing.Told"):
    """Is told."""


class Heard(Message, tag="typing.testing.Heard"):
    """Is heard."""


@simulate(seeds=[17], faults=Faults(crash=0.2), backend="trio")
async def simulated(simulation: Simulation, fixture: int) -> None:
    async with simulation.mesh() as mesh:
        assert_type(mesh, Mesh)
        assert_type(simulation.seed, int)


assert_type(simulated, Callable[..., None])

simulate(backend="uvloop")  # type: ignore[arg-type]
simulate()(len)  # type: ignore[arg-type]


async def a_probe_waits(probe: Probe, mesh: Mesh) -> None:
    assert_type(await probe.receive(str), str)
    assert_type(await probe.receive(Told), Told)
    assert_type(await probe.receive((Told, Heard)), Any)
    assert_type(await probe.receive(lambda message: message == 5, timeout=1), Any)
    assert_type(await probe.receive(), Any)
    assert_type(probe.blocking.receive(str), str)
    assert_type(probe.blocking.receive(timeout=1), Any)
    assert_type(probe.received, list[Any])
    assert_type(probe.blocking, BlockingProbe)
    mesh.add(probe.reply_with("yes"))
