"""The log of a mesh stays short: the first few of a kind, then one in a while."""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ceylon import Agent, Mesh, on
from ceylon.core.quiet_log import QuietLog
from ceylon.settings import DEFAULTS, Settings
from support.core_agents import Failing

QUIET: Settings = msgspec.structs.replace(DEFAULTS, log_first=2, log_period=10.0, log_kinds=3)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, logger="ceylon"):
        yield


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ceylon"]


def test_the_first_few_are_written_down_and_then_one_in_a_while_with_the_number_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    quiet = QuietLog(QUIET, clock.now)

    written = []
    for _ in range(40):
        written.append(quiet.warning("it_broke", "shop"))
        clock.time += 1.0

    assert [at for at, was in enumerate(written) if was] == [0, 1, 11, 21, 31]
    assert lines(caplog) == ["it_broke agent='shop'"] * 2 + ["it_broke agent='shop' suppressed=9"] * 3


def test_agents_and_events_are_limited_apart() -> None:
    quiet = QuietLog(QUIET, Clock().now)

    assert [quiet.error("a", "shop") for _ in range(3)] == [True, True, False]
    assert [quiet.error("b", "shop") for _ in range(3)] == [True, True, False]
    assert [quiet.error("a", "till") for _ in range(3)] == [True, True, False]


def test_what_is_remembered_is_bounded() -> None:
    quiet = QuietLog(QUIET, Clock().now)

    for number in range(100):
        quiet.warning("it_broke", f"agent-{number}")

    assert len(quiet) == QUIET.log_kinds


async def test_an_agent_that_fails_on_every_message_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async with Mesh(settings=QUIET) as mesh:
        failing = mesh.add(Failing("failing"))

        for _ in range(100):
            failing.tell_nowait(ValueError("again"))
        await mesh.drain()

        assert mesh.statistics().agents["failing"].failed == 100
        assert mesh.statistics().dead_letters == {"handler_failed": 100}
    assert len([line for line in lines(caplog) if line.startswith("handler_failed agent='failing'")]) == 2


async def test_tells_that_nobody_handles_fill_no_log_either(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(Agent):
        @on
        async def hear(self, word: str) -> Any:
            return word

    async with Mesh(settings=QUIET) as mesh:
        deaf = mesh.add(Deaf("deaf"))

        for _ in range(100):
            deaf.tell_nowait(1.0)
        await mesh.drain()

    assert len([line for line in lines(caplog) if line.startswith("message_unhandled")]) == 2
