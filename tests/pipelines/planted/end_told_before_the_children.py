"""The end of a node is told before those of what is in it, if it fails."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.errors import describe
from ceylon.pipelines.policies import ParallelUnit
from ceylon.pipelines.running import Run


@contextlib.contextmanager
def plant() -> Generator[None]:
    perform = ParallelUnit.perform

    async def broken(self: ParallelUnit, run: Run, value: Any, execution: Any) -> Any:
        if execution is None or len(self.steps) < 2:
            return await perform(self, run, value, execution)
        first, *others = self.steps
        await execution.tell("ended", value=describe(ValueError()))
        execution._has_ended = True
        self.steps = (first, *others)
        return await perform(self, run, value, execution)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParallelUnit, "perform", broken)
        yield
