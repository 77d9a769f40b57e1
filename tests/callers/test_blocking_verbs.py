"""Blocking verbs where a loop runs: held-up loops are told, once; on the mesh's own loop they are refused, at once."""

import asyncio
import warnings
from typing import Any

import pytest
import trio

from ceylon import BlockingCallError, BlockingMesh, Mesh
from support.callers_blocking import BLOCKING
from support.callers_processes import run_program
from support.callers_report import read_reports
from support.callers_stage import Stage, blocking_stage, populate

OTHERWISE = {"context", "default_mesh"}  # run in handlers, and elsewhere
OWN_MESH = {"mesh.collect", "mesh.start", "mesh.wait"}  # these make one
NO_WAIT = {"agent.conversation", "agent.send_message_async", "agent.send_messages_async", "mesh.statistics"}
WAITING = sorted(verb for verb in {*BLOCKING} - OWN_MESH - NO_WAIT if verb.partition(".")[0] not in OTHERWISE)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_blocking_verb_in_a_foreign_loop_works_and_warns_once(loop: str, model_url: str) -> None:
    async def main() -> list[Any]:
        return [BLOCKING["mesh.ask"](stage) for _ in range(3)]

    with blocking_stage(model_url) as stage, pytest.warns(RuntimeWarning, match="holds up the event loop") as caught:
        answers = asyncio.run(main()) if loop == "asyncio" else trio.run(main)

    assert answers == [5.0, 5.0, 5.0]
    assert len(caught) == 1


@pytest.mark.process
def test_a_blocking_query_in_a_foreign_loop_warns_once_a_process(model_url: str) -> None:
    reports = read_reports(run_program("held_up_loop.py", model_url))

    assert reports["answers"] == ["echo: hi"] * 3
    assert len(reports["warnings"]) == 1
    assert "held_up_loop.py" in reports["warnings"][0]


def test_a_blocking_verb_in_a_thread_warns_nobody(model_url: str) -> None:
    with blocking_stage(model_url) as stage, warnings.catch_warnings():
        warnings.simplefilter("error")

        assert BLOCKING["mesh.ask"](stage) == 5.0


@pytest.mark.parametrize("verb", WAITING)
async def test_a_blocking_verb_on_the_meshs_own_loop_is_refused_at_once(verb: str, model_url: str) -> None:
    async with Mesh() as mesh:
        populate(mesh, model_url)
        assistant: Any = mesh.agent("assistant")
        stage = Stage[BlockingMesh](mesh.blocking, assistant)

        with pytest.raises(BlockingCallError, match="await"):
            BLOCKING[verb](stage)


async def test_collecting_on_the_meshs_own_loop_is_refused_at_once(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        with pytest.raises(BlockingCallError, match="await"):
            mesh.blocking.collect()
