"""Ceylon's plugin for pytest: fixtures, markers and options, and nothing at all until a test asks for one.

pytest loads it in every test run where Ceylon is installed. So it stands beside the package and not in it, where its
import would be the whole package's, and `ceylon` itself is imported by the first fixture that is used.
"""

import os
import re
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ceylon import BlockingMesh, Mesh
    from ceylon.testing import Probe, Recording

__all__ = [
    "blocking_mesh",
    "cassette",
    "mesh",
    "probe",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
]

_MARKERS: Final = ("breaks_the_law: tampers with the counters of a mesh on purpose; its law is not checked",)
_VARIABLES: Final = {"ceylon_record": "CEYLON_RECORD", "ceylon_seed": "CEYLON_SEED", "ceylon_seeds": "CEYLON_SEEDS"}
_BACKENDS: Final = frozenset({"asyncio", "asyncio+uvloop", "trio"})
_failed: Final = pytest.StashKey[bool]()
_NO_LOOP: Final = (
    "the fixture `mesh` is for async tests that anyio (`@pytest.mark.anyio`) or pytest-asyncio runs; a sync test "
    "takes `blocking_mesh`, and one under `simulate` opens its own with `simulation.mesh()`"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let simulations be told their seeds, and cassettes whether to record."""
    group = parser.getgroup("ceylon", "simulations of meshes, recordings of models")
    group.addoption("--ceylon-seed", type=int, metavar="N", help="run every simulation with this seed only")
    group.addoption("--ceylon-record", type=int, choices=(0, 1), help="record all cassettes anew (1), or none (0)")
    group.addoption("--ceylon-seeds", type=int, metavar="N", help="run every simulation with so many seeds")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, hand the seeds on, and get ready for pytest-asyncio if that is there."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    for option, variable in _VARIABLES.items():
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
    _begin_cassette(request)
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

    _begin_cassette(request)
    with checked_blocking_mesh(**_leniency(request)) as mesh:
        yield mesh


@pytest.fixture
def probe(request: pytest.FixtureRequest) -> "Probe":
    """Put a probe called ``probe`` into `blocking_mesh` if the test takes that, else into `mesh`."""
    from ceylon.testing import Probe  # noqa: PLC0415 – as above

    made = Probe("probe")
    request.getfixturevalue("blocking_mesh" if "blocking_mesh" in request.fixturenames else "mesh").add(made)
    return made


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> "Iterator[Recording]":
    """Record the test's models into ``cassettes/<file>/<test>.cassette`` beside it, or replay that if it is there."""
    from ceylon.testing import record  # noqa: PLC0415 – as above

    with record(request.path.parent / "cassettes" / request.path.stem / f"{_name_of(request.node)}.cassette") as made:
        yield made
        if request.node.stash.get(_failed, False):
            made.abandon()


def _name_of(test: pytest.Function) -> str:
    """Return what the test's cassette is called: the same one for each event loop."""
    callspec = getattr(test, "callspec", None)
    ids = [] if callspec is None else [each for each in callspec.id.split("-") if each not in _BACKENDS]
    return re.sub(r"[^\w.+-]+", "_", "-".join([test.originalname, *ids]))


def _begin_cassette(request: pytest.FixtureRequest) -> None:
    """Begin with the test's cassette, if it has one, before its mesh opens."""
    if "cassette" in request.fixturenames:
        request.getfixturevalue("cassette")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take note that a test has failed, for its cassette; `call` says which part of it."""
    if call.excinfo is not None and "cassette" in getattr(item, "fixturenames", ()):
        item.stash[_failed] = True
    return (yield)


def _leniency(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"checks_law": request.node.get_closest_marker("breaks_the_law") is None}
