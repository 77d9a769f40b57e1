"""What every language model promises, whoever makes it: the port `ceylon.models.port`."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio

from ceylon.errors import ModelError
from ceylon.models.port import Model, Session
from ceylon.models.turns import Finish, Reply, ReplyPart, Request, TextPart, ThinkingPart, Turn, Usage
from ceylon.testing.contracts.promises import keep_all, require, require_type

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["model_contract"]

_AT_ONCE: Final = 3
_SECONDS: Final = 60.0  # for one answer; a contract must end


async def model_contract(
    model: Model,
    client: "HttpClient | None" = None,
    *,
    prompt: str = "Say a few words.",
    failing: Sequence[Model] = (),
    is_repeatable: bool = True,
) -> None:
    """Try every promise of a model; about ten requests are sent.

    Args:
        model: The model, with something behind it that answers.
        client: The HTTP client to open its sessions with, for those that need one.
        prompt: What to ask; the answer should have several words, so that its stream can be left half-way.
        failing: Models of the same adapter that must fail, each in its own way.
        is_repeatable: Whether the same question has the same answer.

    Raises:
        AssertionError: a promise is broken.
    """
    trial = _Trial(model, client, prompt)
    promises = [
        trial.it_has_a_canonical_name,
        trial.it_answers_as_a_whole,
        trial.a_stream_ends_with_the_whole_answer,
        trial.a_stream_that_is_left_disturbs_nothing,
        trial.a_cancelled_request_stays_cancelled,
        trial.requests_may_run_at_the_same_time,
        trial.a_session_may_be_closed_twice,
    ]
    if is_repeatable:
        promises.append(trial.streamed_or_not_the_text_is_the_same)
    promises += [_Trial(each, client, prompt).it_fails_with_a_model_error for each in failing]
    await keep_all(f"model {model.name!r}", promises)


class _Trial:
    """One model, and what to ask it."""

    def __init__(self, model: Model, client: Any, prompt: str) -> None:
        self._model, self._client = model, client
        self._request = Request(turns=(Turn("user", prompt),), timeout=_SECONDS)

    async def it_has_a_canonical_name(self) -> None:
        provider, separator, name = self._model.name.partition("::")
        require(provider and separator and name, f"its name is {self._model.name!r}, not 'provider::model'")
        self._model.check()

    async def it_answers_as_a_whole(self) -> None:
        _check_reply(await self._complete(await self._open()))

    async def a_stream_ends_with_the_whole_answer(self) -> None:
        reply, text = await self._streamed(await self._open())
        _check_reply(reply)
        require(text == reply.text, f"the parts' text is {text!r}, the reply's {reply.text!r}")

    async def streamed_or_not_the_text_is_the_same(self) -> None:
        session = await self._open()
        whole, (streamed, _) = await self._complete(session), await self._streamed(session)
        require(whole.text == streamed.text, f"whole it is {whole.text!r}, streamed {streamed.text!r}")
        require(whole.finish == streamed.finish, f"whole it ends by {whole.finish!r}, streamed by {streamed.finish!r}")

    async def a_stream_that_is_left_disturbs_nothing(self) -> None:
        session = await self._open()
        async with aclosing(session.stream(self._request)) as parts:
            first = await anext(parts)
        require_type(first, (TextPart, ThinkingPart), "the first of several parts")
        _check_reply(await self._complete(session))

    async def a_cancelled_request_stays_cancelled(self) -> None:
        session = await self._open()
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
        session = await self._open()
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await self._complete(session))

        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(ask)
        for reply in replies:
            _check_reply(reply)

    async def a_session_may_be_closed_twice(self) -> None:
        closed, other = await self._open(), await self._open()
        await closed.aclose()
        await closed.aclose()
        _check_reply(await self._complete(other))
        await other.aclose()

    async def it_fails_with_a_model_error(self) -> None:
        for ask in (self._complete, self._streamed):
            try:
                await ask(await self._open())
            except ModelError:
                continue
            except Exception as error:  # noqa: BLE001 – that is the point
                require(False, f"it fails with {error!r}, which is no ModelError")  # noqa: FBT003 – a condition
            require(False, "it answers, and was to fail")  # noqa: FBT003 – as above

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _open(self) -> Session:
        return await self._model.open(self._client)

    async def _complete(self, session: Session) -> Reply:
        with anyio.fail_after(_SECONDS):
            return await session.complete(self._request)

    async def _streamed(self, session: Session) -> tuple[Reply, str]:
        """Return the reply at a stream's end, and the text of its parts."""
        with anyio.fail_after(_SECONDS):
            parts = [part async for part in session.stream(self._request)]
        for part in parts:
            require_type(part, (TextPart, ThinkingPart, ReplyPart), "a part of the stream")
        ends = [part for part in parts if isinstance(part, ReplyPart)]
        last = parts[-1] if parts else None
        if not isinstance(last, ReplyPart) or len(ends) != 1:
            sentence = f"a stream has {len(ends)} ReplyParts and ends with {last!r}; it has one, as its last part"
            raise AssertionError(sentence)
        return last.reply, "".join(part.text for part in parts if isinstance(part, TextPart))


def _check_reply(reply: Reply) -> None:
    require_type(reply, Reply, "the answer")
    require_type(reply.text, str, "its text")
    require(reply.text, "its text is empty")
    require(reply.finish in get_args(Finish), f"it ended by {reply.finish!r}, which is none of {get_args(Finish)}")
    require_type(reply.usage, Usage, "its usage")
    counts = [getattr(reply.usage, name) for name in Usage.__struct_fields__]
    require(min(counts) >= 0, f"its usage is negative: {reply.usage!r}")
