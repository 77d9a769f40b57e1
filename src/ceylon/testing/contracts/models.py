"""What every language model promises, whoever makes it: the port `ceylon.models.port`."""

import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio

from ceylon.errors import ModelError
from ceylon.models.adapting import adapt
from ceylon.models.port import Model, Session
from ceylon.models.turns import Finish, Reply, Request, TextPart, ThinkingPart, Turn, Usage
from ceylon.testing.contracts.promises import keep_all, require, require_type
from ceylon.testing.contracts.tools import ToolTrial, read_stream

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["model_contract"]

_AT_ONCE: Final = 3
_SECONDS: Final = 60.0  # for one answer; a contract must end


async def model_contract(  # noqa: PLR0913 – one word for each thing a model may be unable to do
    model: Model,
    client: "HttpClient | None" = None,
    *,
    prompt: str = "Say a few words.",
    failing: Sequence[Model] = (),
    is_repeatable: bool = True,
    calls: bool = True,
    output: bool = True,
    is_adapted: bool = False,
) -> None:
    """Try every promise of a model; about twenty requests are sent.

    Args:
        model: The model, with something behind it that answers.
        client: The HTTP client to open its sessions with, for those that need one.
        prompt: What to ask; the answer should have several words, so that its stream can be left half-way.
        failing: Models of the same adapter that must fail, each in its own way.
        is_repeatable: Whether the same question has the same answer.
        calls: Whether it calls the tool that it is given, if it is told to.
        output: Whether it keeps its answer to a schema.
        is_adapted: Whether to try it as agents use it, with all done for it that it cannot do by itself.

    Raises:
        AssertionError: a promise is broken.
    """
    opened: list[Session] = []
    trial = _Trial(model, client, prompt, opened, is_adapted=is_adapted)
    promises = [
        trial.it_has_a_canonical_name,
        trial.it_answers_as_a_whole,
        trial.a_stream_ends_with_the_whole_answer,
        trial.a_stream_that_is_left_disturbs_nothing,
        trial.a_cancelled_request_stays_cancelled,
        trial.requests_may_run_at_the_same_time,
        trial.a_session_may_be_closed_twice,
    ]
    tools = ToolTrial(trial.open, is_repeatable=is_repeatable)
    if is_repeatable:
        promises.append(trial.streamed_or_not_the_answer_is_the_same)
    if calls:
        promises += [tools.it_calls_what_it_must, tools.a_stream_has_the_calls_of_its_reply, tools.it_takes_results]
    if output:
        promises += [tools.its_output_keeps_to_the_schema, tools.it_answers_by_a_schema_although_it_has_tools]
    failures = [_Trial(each, client, prompt, opened, is_adapted=is_adapted) for each in failing]
    promises += [each.it_fails_with_a_model_error for each in failures]
    try:
        await keep_all(f"model {model.name!r}", promises)
    finally:
        for session in opened:
            with contextlib.suppress(Exception):  # what closing does wrong, a promise tells
                await session.aclose()


class _Trial:
    """One model, and what to ask it."""

    def __init__(self, model: Model, client: Any, prompt: str, opened: list[Session], *, is_adapted: bool) -> None:
        self._model, self._client, self._opened, self._is_adapted = model, client, opened, is_adapted
        self._request = Request(turns=(Turn("user", prompt),), timeout=_SECONDS)

    async def it_has_a_canonical_name(self) -> None:
        provider, separator, name = self._model.name.partition("::")
        require(provider and separator and name, f"its name is {self._model.name!r}, not 'provider::model'")
        self._model.check()

    async def it_answers_as_a_whole(self) -> None:
        _check_reply(await self._complete(await self.open()))

    async def a_stream_ends_with_the_whole_answer(self) -> None:
        reply, text = await self._streamed(await self.open())
        _check_reply(reply)
        require(text == reply.text, f"the parts' text is {text!r}, the reply's {reply.text!r}")

    async def streamed_or_not_the_answer_is_the_same(self) -> None:
        session = await self.open()
        whole, (streamed, _) = await self._complete(session), await self._streamed(session)
        require(whole.text == streamed.text, f"whole it is {whole.text!r}, streamed {streamed.text!r}")
        require(whole.usage == streamed.usage, f"whole it takes {whole.usage!r}, streamed {streamed.usage!r}")
        require(whole.finish == streamed.finish, f"whole it ends by {whole.finish!r}, streamed by {streamed.finish!r}")

    async def a_stream_that_is_left_disturbs_nothing(self) -> None:
        session = await self.open()
        async with aclosing(session.stream(self._request)) as parts:
            first = await anext(parts)
        require_type(first, (TextPart, ThinkingPart), "the first of several parts")
        _check_reply(await self._complete(session))

    async def a_cancelled_request_stays_cancelled(self) -> None:
        session = await self.open()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await session.complete(self._request)
        with anyio.CancelScope() as scope:
            async with aclosing(session.stream(self._request)) as parts:
                async for _ in parts:
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
                    require(False, "a cancelled stream went on")  # noqa: FBT003 – it is a condition
        _check_reply(await self._complete(session))

    async def requests_may_run_at_the_same_time(self) -> None:
        session = await self.open()
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await self._complete(session))

        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(ask)
        for reply in replies:
            _check_reply(reply)

    async def a_session_may_be_closed_twice(self) -> None:
        closed, other = await self.open(), await self.open()
        await closed.aclose()
        await closed.aclose()
        _check_reply(await self._complete(other))
        await other.aclose()

    async def it_fails_with_a_model_error(self) -> None:
        for ask in (self._complete, self._streamed):
            try:
                await ask(await self.open())
            except ModelError:
                continue
            except Exception as error:  # noqa: BLE001 – that is the point
                require(False, f"it fails with {error!r}, which is no ModelError")  # noqa: FBT003 – a condition
            require(False, "it answers, and was to fail")  # noqa: FBT003 – as above

    # -- asking --------------------------------------------------------------------------------------------------------

    async def open(self) -> Session:
        """Return a session, as it is or adapted; it is closed when all is tried."""
        session = await self._model.open(self._client)
        self._opened.append(session)
        return adapt(session) if self._is_adapted else session

    async def _complete(self, session: Session) -> Reply:
        with anyio.fail_after(_SECONDS):
            return await session.complete(self._request)

    async def _streamed(self, session: Session) -> tuple[Reply, str]:
        """Return the reply at a stream's end, and the text of its parts."""
        with anyio.fail_after(_SECONDS):
            return await read_stream(session, self._request, TextPart, ThinkingPart)


def _check_reply(reply: Reply) -> None:
    require_type(reply, Reply, "the answer")
    require_type(reply.text, str, "its text")
    require(reply.text, "its text is empty")
    require(reply.finish in get_args(Finish), f"it ended by {reply.finish!r}, which is none of {get_args(Finish)}")
    require_type(reply.usage, Usage, "its usage")
    counts = [getattr(reply.usage, name) for name in Usage.__struct_fields__]
    require(min(counts) >= 0, f"its usage is negative: {reply.usage!r}")
