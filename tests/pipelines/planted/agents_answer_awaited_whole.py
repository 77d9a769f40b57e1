"""The next stage waits for an agent's last part before it begins with the first: the barrier comes back."""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.pipelines.flow import Emit
from ceylon.pipelines.parts import AgentParts


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: AgentParts, emit: Emit) -> None:
        for part in await self.collect():
            await emit(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentParts, "drive", broken)
        yield
