"""`import ceylon` is light, and everything a user needs hangs on it."""

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ceylon
from ceylon import errors

MOST_NAMES = 45
HEAVY = (
    "httpx",
    "httpcore",
    "httptools",
    "sqlite3",
    "structlog",
    "trio",
    "rich",
    "uvloop",
    "xllamacpp",
    "ceylon.models.http",
)


@pytest.mark.process
def test_import_loads_no_http_client_database_logger_or_event_loop() -> None:
    assert {*HEAVY, "asyncio", "msgspec", "ceylon.core"}.isdisjoint(loaded_by("import ceylon"))


@pytest.mark.process
def test_what_agents_and_meshes_are_made_with_loads_no_event_loop_before_a_mesh_starts() -> None:
    loaded = loaded_by("from ceylon import Agent, BlockingMesh, Context, Mesh, Message, on; Mesh(), BlockingMesh()")

    assert {*HEAVY, "asyncio", "logging", "hashlib", "ceylon.agents.llm_agent"}.isdisjoint(loaded)


@pytest.mark.process
def test_an_agent_for_a_model_loads_no_client_before_it_is_made() -> None:
    assert set(HEAVY).isdisjoint(loaded_by("from ceylon import *"))


@pytest.mark.process
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_first_message_loads_nothing_more(loop: str) -> None:
    program = f"""
import sys, anyio
from ceylon import Agent, Context, Mesh, Message, on

class Echo(Agent):
    @on
    async def text(self, text: str, context: Context) -> str:
        return text

async def main():
    async with Mesh() as mesh:
        echo = mesh.add(Echo("echo"))
        before = set(sys.modules)
        assert await echo.ask("hi") == "hi"
        await echo.tell("hi")
        await mesh.drain()
        assert set(sys.modules) == before, set(sys.modules) - before

anyio.run(main, backend={loop!r})
"""
    assert "ceylon.core.backend" in loaded_by(program)


@pytest.mark.process
@pytest.mark.parametrize("name", [name for name in ceylon.__all__ if not name.endswith("Error")])
def test_every_name_can_be_the_first(name: str) -> None:
    assert loaded_by(f"from ceylon import {name}")


@pytest.mark.process
def test_its_parts_hang_on_it_too() -> None:
    assert loaded_by("import ceylon; ceylon.agents, ceylon.core, ceylon.errors, ceylon.messages, ceylon.models")


def loaded_by(program: str) -> set[str]:
    """Run *program* in a process of its own; return the modules that are loaded at its end."""
    command = [sys.executable, "-c", f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"]
    return set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))  # noqa: S603 – this Python


@pytest.mark.process
def test_the_instruments_for_tests_load_no_test_framework() -> None:
    loaded = loaded_by("import ceylon.testing, ceylon.testing.contracts")

    assert {"pytest", "_pytest", "hypothesis", "httpx", "trio", "structlog"}.isdisjoint(loaded)


def test_every_public_name_is_there() -> None:
    assert [name for name in ceylon.__all__ if not hasattr(ceylon, name)] == []


RARER = (
    *("Ledger", "Wait", "Why"),
    *("AgentPart", "Attachment", "HandoffPart", "Part", "ReplyPart", "ThinkingPart", "ToolCall", "ToolCallPart"),
    *("ToolResult", "ToolResultPart", "Turn", "UsagePart"),
    *("ReAct", "Trace", "TraceStep", "trace_of"),
    *("Failed", "Pipeline", "StageEvent", "pipeline"),
    *("ApprovalDesk", "ApprovalRequest", "Approved", "Denied", "Prompt", "TerminalApprover"),
)
NAMES = {*(name for name in ceylon.__all__ if not name.endswith("Error")), *RARER}


def test_a_type_checker_sees_the_names_that_are_there_and_where_they_come_from() -> None:
    tree = ast.parse(Path(ceylon.__file__).read_text(encoding="utf-8"))
    [seen] = [each for each in tree.body if isinstance(each, ast.If) and isinstance(each.test, ast.Name)]
    imports = [each for each in seen.body if isinstance(each, ast.ImportFrom)]

    for imported in imports:
        for alias in imported.names:
            getattr(ceylon, alias.name)
        module: Any = sys.modules[imported.module or ""]
        for alias in imported.names:
            assert getattr(ceylon, alias.name) is getattr(module, alias.name)
    assert {alias.name for imported in imports for alias in imported.names} == {*NAMES, *errors.__all__}


def test_dir_names_them_all() -> None:
    assert {*ceylon.__all__, *errors.__all__, *NAMES, "errors", "__version__"} <= set(dir(ceylon))


def test_what_is_asked_for_is_what_it_was() -> None:
    assert ceylon.Mesh is ceylon.Mesh
    assert pickle.loads(pickle.dumps(ceylon.Usage)) is ceylon.Usage  # noqa: S301 – our own


def test_the_public_names_are_few_enough_to_know() -> None:
    assert len(ceylon.__all__) <= MOST_NAMES
    assert len(set(ceylon.__all__)) == len(ceylon.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_importable_from_the_package(name: str) -> None:
    assert getattr(ceylon, name, None) is getattr(errors, name)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_ours(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.CeylonError)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = ceylon.NoSuchName  # type: ignore[attr-defined]


def test_every_error_of_the_tree_is_listed() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    defined = {value.__name__ for value in classes if issubclass(value, errors.CeylonError)}

    assert defined == set(errors.__all__)
