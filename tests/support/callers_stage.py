"""What a caller finds when it begins: a mesh with the market in it, and language models to talk to."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

import anyio.from_thread
import msgspec

from ceylon import BlockingMesh, LlmAgent, Mesh
from support.callers_agents import Listener, Pricer, Shop
from support.callers_errands import Clerk, Porter

__all__ = ["Stage", "blocking_stage", "hosted_stage", "populate", "stage", "tutor_at"]

M = TypeVar("M", Mesh, BlockingMesh)

_numbers = itertools.count(1)


class Stage(msgspec.Struct, Generic[M]):
    """A mesh, and a `tutor` that is in no mesh but the process's own; `is_foreign`: the mesh is on another loop."""

    mesh: M
    tutor: LlmAgent
    is_foreign: bool = False

    def label(self) -> str:
        """Return a name that nobody else in this process uses."""
        return f"label-{next(_numbers)}"


@contextlib.asynccontextmanager
async def stage(url: str) -> AsyncIterator[Stage[Mesh]]:
    """Open a mesh on the caller's own loop."""
    async with Mesh("market") as mesh:
        populate(mesh, url)
        yield Stage(mesh, tutor_at(url))


@contextlib.contextmanager
def blocking_stage(url: str) -> Iterator[Stage[BlockingMesh]]:
    """Open a mesh on a thread of its own, for callers that block."""
    with BlockingMesh("market") as mesh:
        populate(mesh, url)
        yield Stage(mesh, tutor_at(url))


@contextlib.contextmanager
def hosted_stage(url: str) -> Iterator[Stage[Mesh]]:
    """Open a mesh on the loop of another thread, for callers that bring their own."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(stage(url)) as found,
    ):
        yield Stage(found.mesh, found.tutor, is_foreign=True)


def populate(mesh: Mesh | BlockingMesh, url: str) -> None:
    """Bring the market's agents in, and an assistant that speaks with the model server at *url*."""
    for agent in (Clerk("clerk"), Listener("listener"), Porter("porter"), Pricer("pricer"), Shop("shop")):
        mesh.add(agent)
    mesh.add(_llm("assistant", url))


def tutor_at(url: str) -> LlmAgent:
    """Return an agent without a mesh, whose model is at *url*."""
    return _llm("tutor", url)


def _llm(name: str, url: str) -> LlmAgent:
    return LlmAgent(name, "openai::test-model", base_url=url, api_key="sk-none")
