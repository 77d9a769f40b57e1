"""Ceylon's plugin for pytest: fixtures, markers and options, and nothing at all until a test asks for one.

pytest loads it in every test run where Ceylon is installed. So it stands beside the package and not in it, where its
import would be the whole package's, and `ceylon` itself is imported by the first fixture that is used.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ceylon import BlockingMesh, Mesh
    from ceylon.testing import Probe

__all__ = ["blocking_mesh", "mesh", "probe", "pytest_addoption", "pytest_configure"]

_MARKERS: Final = ("breaks_the_law: tampers with the counters of a mesh on purpose; its law is not checked",)
_SEEDS: Final = {"ceylon_seed": "CEYLON_SEED", "ceylon_seeds": "CEYLON_SEEDS"}
_NO_LOOP: Final = (
    "the fixture `mesh` is for async tests that anyio (`@pytest.mark.anyio`) or pytest-asyncio runs; a sync test "
    "takes `blocking_mesh`, and one under `simulate` opens its own with `simulation.mesh()`"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let simulations be told their seeds."""
    group = parser.getgroup("ceylon", "simulations of meshes")
    group.addoption("--ceylon-seed", type=int, metavar="N", help="run every simulation with this seed only")
    group.addoption("--ceylon-seeds", type=int, metavar="N", help="run every simulation with so many seeds")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, hand the seeds on, and get ready for pytest-asyncio if that is there."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    for option, variable in _SEEDS.items():
        if (number := config.getoption(option)) is not None:
            _set_variable(config, variable, str(number))
    if config.pluginmanager.hasplugin("asyncio"):
        from ceylon_pytest import asyncio_fixtures  # noqa: PLC0415 – it needs pytest-asyncio

        config.pluginmanager.register(asyncio_fixtures, "ceylon_pytest.asyncio_fixtures")


def _set_variable(config: pytest.Config, name: str, value: str) -> None:
    """Set an environment variable for the run: simulations read their seeds from there, with pytest or without."""
    before = os.environ.get(name)
    os.environ[name] = value

    def restore() -> None:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before

    config.add_cleanup(restore)


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> "Mesh":
    """Open a mesh on the test's own loop; see `ceylon.testing.fixtures.checked_mesh` for what its end checks."""
    if "anyio_backend" in request.fixturenames:
        name = "_ceylon_mesh"
    elif (marker := request.node.get_closest_marker("asyncio")) is not None:
        default = request.config.getini("asyncio_default_test_loop_scope")
        name = f"_ceylon_mesh_asyncio_{marker.kwargs.get('loop_scope') or marker.kwargs.get('scope') or default}"
    else:
        raise pytest.UsageError(_NO_LOOP)
    made: Mesh = request.getfixturevalue(name)
    return made


@pytest.fixture
async def _ceylon_mesh(request: pytest.FixtureRequest) -> "AsyncIterator[Mesh]":
    """Open the mesh of a test that anyio runs; anyio does so on that test's loop."""
    from ceylon.testing.fixtures import checked_mesh  # noqa: PLC0415 – only a test that asks for it pays

    async with checked_mesh(**_leniency(request)) as mesh:
        yield mesh


@pytest.fixture
def blocking_mesh(request: pytest.FixtureRequest) -> "Iterator[BlockingMesh]":
    """Open a mesh on a thread of its own; see `ceylon.testing.fixtures.checked_blocking_mesh`."""
    from ceylon.testing.fixtures import checked_blocking_mesh  # noqa: PLC0415 – as above

    with checked_blocking_mesh(**_leniency(request)) as mesh:
        yield mesh


@pytest.fixture
def probe(request: pytest.FixtureRequest) -> "Probe":
    """Put a probe called ``probe`` into `blocking_mesh` if the test takes that, else into `mesh`."""
    from ceylon.testing import Probe  # noqa: PLC0415 – as above

    made = Probe("probe")
    request.getfixturevalue("blocking_mesh" if "blocking_mesh" in request.fixturenames else "mesh").add(made)
    return made


def _leniency(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"checks_law": request.node.get_closest_marker("breaks_the_law") is None}
