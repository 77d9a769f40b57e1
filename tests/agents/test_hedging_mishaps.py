"""Whatever becomes of a request that loses a race is nobody's trouble; what no error is comes as it is."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelStatusError
from ceylon.models.port import Abilities
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart
from support.lagging import Lagging
from support.virtual_time import run_virtually

HEDGE = 1.0
ILL = ModelStatusError("m", 500, "ill", should_retry=False)


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def ask(model: Any, *others: Any, streamed: bool) -> str:
    """Ask an agent that hedges once."""
    agent = LlmAgent("tutor", model, fallback=others, hedge=HEDGE)
    async with Mesh() as mesh:
        mesh.add(agent)
        return (await (agent.stream("hi").result() if streamed else agent.complete("hi"))).text


async def stray() -> None:
    """Await what somebody else has cancelled."""
    nobody_s = asyncio.get_running_loop().create_future()
    nobody_s.cancel()
    await nobody_s


@pytest.mark.parametrize("says", ["from the first", ILL], ids=["answers", "fails"])
def test_a_second_that_is_cancelled_by_its_own_code_does_not_end_the_first(streamed: bool, says: Any) -> None:  # noqa: FBT001 – a parameter
    first, second = Lagging((HEDGE + 2.0, says)), ScriptedModel([Step("never", gate=stray)])

    def run() -> str:
        return run_virtually("asyncio", functools.partial(ask, first, second, streamed=streamed))

    if isinstance(says, str):
        assert run() == says
        return
    with pytest.raises(ModelStatusError) as failed:
        run()
    assert failed.value is says
    assert "StrayCancellationError" in says.__notes__[-1]


class Interrupt(BaseException):
    """No error."""


@pytest.mark.parametrize("place", [0, 1])
def test_an_interrupt_comes_as_it_is(virtually: Any, streamed: bool, place: int) -> None:  # noqa: FBT001 – a parameter
    async def interrupt() -> None:
        await anyio.sleep(HEDGE + 1.0)
        raise Interrupt

    models: list[Any] = [Lagging((60.0, "late"))]
    models.insert(place, ScriptedModel([Step("never", gate=interrupt)]))

    with pytest.raises(Interrupt):
        virtually(functools.partial(ask, *models, streamed=streamed))


class EndsBadly(Lagging):
    """Begins two streams in one moment, past the point where one of them could be stopped; its ends fail."""

    abilities = Abilities()

    def __init__(self) -> None:
        super().__init__()
        self._has_both = anyio.Event()
        self.ended = 0

    async def open(self, client: Any = None) -> Any:
        del client
        return self

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        if self.asked:
            self._has_both.set()
        self.asked.append(anyio.current_time())
        with anyio.CancelScope(shield=True):
            await self._has_both.wait()
        try:
            yield TextPart("yes")
            yield ReplyPart(Reply(text="yes"))
        except GeneratorExit:
            self.ended += 1
            raise ILL from None

    async def aclose(self) -> None:
        """Nothing to give back."""


def test_a_loser_that_ends_badly_is_no_matter(virtually: Any) -> None:
    model = EndsBadly()

    assert virtually(functools.partial(ask, model, streamed=True)) == "yes"
    assert (len(model.asked), model.ended) == (2, 1)
