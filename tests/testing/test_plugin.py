"""The pytest plugin: its fixtures under every runner, its checks turning red, and nothing in a stranger's tests."""

import os
from pathlib import Path
from typing import Final

import pytest

import ceylon

pytestmark = pytest.mark.process

SOURCES: Final = Path(ceylon.__file__).parents[1]
ENTRY_POINT: Final = "[pytest11]\nceylon_pytest = ceylon_pytest\n"

STRANGER: Final = """
import sys, threading, warnings

def test_of_something_else(request):
    assert "ceylon_pytest" in sys.modules
    assert "ceylon" not in sys.modules
    assert [name for name in request.fixturenames if "ceylon" in name or "mesh" in name] == []
    assert [thread.name for thread in threading.enumerate() if "ceylon" in thread.name] == []
"""

AGENTS: Final = """
import anyio, pytest
from ceylon import Agent, Mesh

class Echo(Agent):
    async def on_message(self, message):
        return message
"""


@pytest.fixture
def installed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory in which Ceylon is installed, entry point and all, whatever the environment says."""
    found = pytester.mkdir("site") / "ceylon_mesh-0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: ceylon-mesh\nVersion: 0\n")
    (found / "entry_points.txt").write_text(ENTRY_POINT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(found.parent), str(SOURCES)]))
    return pytester


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", "-p", "no:randomly", *options)


WITHOUT_ASYNCIO: Final = ("-p", "no:asyncio")
WITH_ASYNCIO: Final = ("-o", "asyncio_default_fixture_loop_scope=function")


def test_nothing_happens_in_a_strangers_tests(installed: pytest.Pytester) -> None:
    installed.makepyfile(STRANGER)

    run(installed, *WITH_ASYNCIO, "--strict-markers", "--strict-config").assert_outcomes(passed=1)


def test_it_loads_nothing_but_itself(installed: pytest.Pytester) -> None:
    program = (
        "import sys, os, re, pytest; before = set(sys.modules); import ceylon_pytest;"
        "print(sorted(set(sys.modules) - before))"
    )

    assert installed.runpython_c(program).outlines == ["['ceylon_pytest']"]


def test_a_strangers_own_fixture_of_that_name_goes_first(installed: pytest.Pytester) -> None:
    installed.makepyfile(
        """
        import sys, pytest

        @pytest.fixture
        def mesh():
            return "a net"

        def test_with_a_mesh_of_its_own(mesh):
            assert mesh == "a net"
            assert "ceylon" not in sys.modules
        """
    )

    run(installed, *WITHOUT_ASYNCIO).assert_outcomes(passed=1)


RUNNERS: Final = {
    "anyio, marked": (WITHOUT_ASYNCIO, "@pytest.mark.anyio", 2),
    "anyio, auto": ((*WITHOUT_ASYNCIO, "-o", "anyio_mode=auto"), "", 2),
    "anyio beside pytest-asyncio, both strict": (WITH_ASYNCIO, "@pytest.mark.anyio", 2),
    "pytest-asyncio, strict": (WITH_ASYNCIO, "@pytest.mark.asyncio", 1),
    "pytest-asyncio, auto": ((*WITH_ASYNCIO, "-o", "asyncio_mode=auto"), "", 1),
    "pytest-asyncio, one loop for the module": (WITH_ASYNCIO, "@pytest.mark.asyncio(loop_scope='module')", 1),
    "pytest-asyncio, one loop for all": (
        (*WITH_ASYNCIO, "-o", "asyncio_default_test_loop_scope=session"),
        "@pytest.mark.asyncio",
        1,
    ),
}


@pytest.mark.parametrize("way", RUNNERS)
def test_the_mesh_is_open_on_the_tests_own_loop(installed: pytest.Pytester, way: str) -> None:
    options, marker, loops = RUNNERS[way]
    installed.makepyfile(
        AGENTS
        + f"""
async def passes_through(mesh, probe):
    assert mesh.interior.gateway.is_inside()
    echo = mesh.add(Echo("echo"))
    assert await echo.ask("tea") == "tea"
    await mesh.tell("probe", "milk")
    assert await probe.receive() == "milk"

{marker}
async def test_once(mesh: Mesh, probe):
    await passes_through(mesh, probe)

{marker}
async def test_again(probe, mesh: Mesh):
    await passes_through(mesh, probe)
"""
    )

    run(installed, *options).assert_outcomes(passed=2 * loops)


def test_a_blocking_mesh_serves_sync_tests_with_a_probe(installed: pytest.Pytester) -> None:
    installed.makepyfile(
        AGENTS
        + """
def test_sync(blocking_mesh, probe):
    echo = blocking_mesh.add(Echo("echo"))
    assert echo.ask("tea") == "tea"
    blocking_mesh.tell("probe", "milk")
    assert probe.blocking.receive(str) == "milk"
"""
    )

    run(installed, *WITHOUT_ASYNCIO).assert_outcomes(passed=1)


def test_a_sync_test_that_takes_the_async_mesh_is_told_which_to_take(installed: pytest.Pytester) -> None:
    installed.makepyfile("def test_sync(mesh): pass")

    result = run(installed, *WITHOUT_ASYNCIO)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a sync test takes `blocking_mesh`*"])


LEAK: Final = "*mesh 'test' left something behind: task 'ceylon leak' is still there*"
LAW: Final = "*the law is broken for the agents that are gone: 2 accepted*"


@pytest.mark.parametrize(
    ("sabotage", "kind", "sentence"),
    [("drop_a_message", "mesh", LAW), ("drop_a_message", "blocking_mesh", LAW), ("leak_a_task", "mesh", LEAK)],
)
def test_what_a_mesh_gets_wrong_turns_its_test_red(
    installed: pytest.Pytester, sabotage: str, kind: str, sentence: str
) -> None:
    word = "await " if kind == "mesh" else ""
    installed.makepyfile(
        AGENTS
        + f"""
from ceylon.testing import sabotage

@pytest.fixture(autouse=True)
def broken():
    with sabotage.{sabotage}():
        yield

@pytest.fixture
def anyio_backend():
    return "asyncio"

{"@pytest.mark.anyio" if word else ""}
{"async " if word else ""}def test_that_is_betrayed({kind}):
    echo = {kind}.add(Echo("echo"))
    {word}echo.tell("lost")
    assert {word}echo.ask("kept") == "kept"
"""
    )

    result = run(installed, *WITHOUT_ASYNCIO)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([sentence])


def test_a_test_may_say_that_it_breaks_the_law(installed: pytest.Pytester) -> None:
    installed.makepyfile(
        AGENTS
        + """
from ceylon.testing import sabotage

@pytest.mark.breaks_the_law
def test_that_breaks_it(blocking_mesh):
    echo = blocking_mesh.add(Echo("echo"))
    with sabotage.drop_a_message():
        echo.tell("lost")
"""
    )

    run(installed, *WITHOUT_ASYNCIO, "--strict-markers").assert_outcomes(passed=1)


def test_seeds_go_where_simulations_read_them(installed: pytest.Pytester) -> None:
    installed.makepyfile(
        """
        import os

        def test_seeds():
            assert (os.environ["CEYLON_SEED"], os.environ["CEYLON_SEEDS"]) == ("7", "250")
        """
    )

    run(installed, *WITHOUT_ASYNCIO, "--ceylon-seed=7", "--ceylon-seeds=250").assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [(), ("-p", "ceylon_pytest"), ("-p", "ceylon.testing.plugin")])
def test_naming_the_plugin_does_no_harm_where_it_is_installed_and_helps_where_it_is_not(
    installed: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    installed.makepyfile("def test_with_a_mesh(blocking_mesh): assert blocking_mesh.is_open")
    run(installed, *WITHOUT_ASYNCIO, *options).assert_outcomes(passed=1)

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    alone = installed.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *options)
    alone.assert_outcomes(**({"passed": 1} if options else {"errors": 1}))
