"""A race waits for those that have lost."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.crew import Crew
from ceylon.pipelines.policies import RaceUnit


@contextlib.contextmanager
def plant() -> Generator[None]:
    perform = RaceUnit.perform

    async def broken(self: RaceUnit, run: Any, value: Any, execution: Any) -> Any:
        cancel = Crew.cancel
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Crew, "cancel", lambda crew: None)
            try:
                return await perform(self, run, value, execution)
            finally:
                patch.setattr(Crew, "cancel", cancel)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RaceUnit, "perform", broken)
        yield
