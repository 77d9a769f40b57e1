"""A stage begins when all stages of the level before it are done: supersteps."""

import contextlib
from collections.abc import Generator
from typing import Any

import anyio
import pytest

from ceylon.pipelines.callables import FunctionUnit
from ceylon.pipelines.policies import SequenceUnit
from ceylon.pipelines.running import Run, Unit


@contextlib.contextmanager
def plant() -> Generator[None]:
    perform, run_step = FunctionUnit.perform, Unit.run
    under_way: dict[Run, int] = {}

    async def counted(self: FunctionUnit, run: Run, value: Any, execution: Any) -> Any:
        under_way[run] = under_way.get(run, 0) + 1
        try:
            return await perform(self, run, value, execution)
        finally:
            under_way[run] -= 1

    async def by_levels(self: SequenceUnit, run: Run, value: Any, execution: Any) -> Any:
        for step in self.steps:
            while under_way.get(run):  # noqa: ASYNC110 – a bug need not be elegant
                await anyio.sleep(0.001)
            value = await run_step(step, run, value, 0 if execution is None else execution.id)
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FunctionUnit, "perform", counted)
        patch.setattr(SequenceUnit, "perform", by_levels)
        yield
