# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of pipelines; never run."""

from typing import Any, assert_type

from ceylon import Agent, Mesh, Pipeline, Ref, StageEvent, pipeline
from ceylon.pipelines import each, gather, parallel
from ceylon.pipelines.streams import BlockingPipelineStream, PipelineStream


def split(text: str) -> list[str]:
    return text.split()


async def arrows_make_pipelines(ref: Ref, agent: Agent, mesh: Mesh) -> None:
    assert_type(ref >> split, Pipeline)
    assert_type(split >> ref, Pipeline)
    assert_type(agent >> agent, Pipeline)
    assert_type(pipeline(split) >> each(split) >> gather(), Pipeline)
    assert_type(parallel(a=split, b=agent), Pipeline)
    assert_type(mesh.add(pipeline(split)), Ref)
    split >> split  # type: ignore[operator]


async def a_pipeline_has_verbs(built: Pipeline) -> None:
    assert_type(await built.run("a", timeout=3, progress=False), Any)
    assert_type(built.stream("a"), PipelineStream)
    async for event in built.stream("a"):
        assert_type(event, StageEvent)
    assert_type(built.blocking.run("a"), Any)
    assert_type(built.blocking.stream("a"), BlockingPipelineStream)
    assert_type(built.describe(), dict[str, Any])
    built.run("a", progress=print)  # type: ignore[unused-coroutine]
