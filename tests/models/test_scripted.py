"""The scripted model plays, keeps and fails as it promises."""

import anyio
import pytest

from ceylon.errors import ModelError, ModelUnavailableError
from ceylon.models.port import Model
from ceylon.models.scripted import Answer
from ceylon.models.turns import (
    Part,
    Reply,
    ReplyPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolCall,
    ToolCallPart,
    Usage,
)
from ceylon.testing import ScriptedModel, ScriptError, Step
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio


async def test_it_plays_its_steps_in_order_and_keeps_the_requests() -> None:
    with ScriptedModel(["one", Reply(text="two", usage=Usage(output=1))]) as model:
        session = await model.open()
        replies = [await session.complete(question(prompt)) for prompt in ("a", "b")]

    assert [reply.text for reply in replies] == ["one", "two"]
    assert replies[0].model == "scripted::model"
    assert replies[1].usage == Usage(output=1)
    assert [request.turns[-1].text for request in model.requests] == ["a", "b"]
    assert isinstance(model, Model)


@pytest.mark.parametrize("answer", ["one two  three", Reply(text="one two  three"), ["one ", "two  ", "three"]])
async def test_it_streams_the_same_words(answer: str | Reply | list[str]) -> None:
    session = await ScriptedModel([answer]).open()

    parts = await parts_of(session, question())

    assert len(parts) == 4
    assert text_of(parts) == "one two  three"
    assert isinstance(parts[-1], ReplyPart)
    assert parts[-1].reply.text == "one two  three"


async def test_it_streams_prepared_parts_as_they_are() -> None:
    reply = Reply(text="4", thinking="hm", finish="length")
    prepared: list[Part] = [ThinkingPart("hm"), TextPart("4"), ReplyPart(reply)]
    session = await ScriptedModel([prepared, prepared]).open()

    assert await parts_of(session, question()) == prepared
    assert await session.complete(question()) == reply


CALL, OTHER = ToolCall("1", "stock", {"sku": "x"}), ToolCall("2", "stock", {"sku": "y"})


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        (CALL, "", (CALL,)),
        ([CALL, OTHER], "", (CALL, OTHER)),
        (["Let me see.", CALL], "Let me see.", (CALL,)),
        ([TextPart("Let me see."), ToolCallPart(CALL)], "Let me see.", (CALL,)),
        (Reply(text="Let me see.", calls=(CALL, OTHER), finish="tool"), "Let me see.", (CALL, OTHER)),
        (lambda request: CALL, "", (CALL,)),
    ],
)
async def test_it_calls(answer: Answer, text: str, calls: tuple[ToolCall, ...]) -> None:
    session = await ScriptedModel([answer, answer, "There are 3."]).open()

    whole = await session.complete(question())
    *parts, last = await parts_of(session, question())

    assert (whole.text, whole.calls, whole.finish) == (text, calls, "tool")
    assert text_of(parts) == text
    assert tuple(part.call for part in parts if isinstance(part, ToolCallPart)) == calls
    assert last == ReplyPart(whole)
    assert (await session.complete(question())).text == "There are 3."


async def test_the_thoughts_of_a_whole_reply_are_parts_too() -> None:
    session = await ScriptedModel([Reply(text="4", thinking="two and two")]).open()

    parts = await parts_of(session, question())

    assert parts[:3] == [ThinkingPart("two"), ThinkingPart(" and"), ThinkingPart(" two")]


async def test_it_raises_prepared_errors() -> None:
    session = await ScriptedModel([ModelUnavailableError("m", "a", "b")] * 2).open()

    with pytest.raises(ModelUnavailableError):
        await session.complete(question())
    with pytest.raises(ModelUnavailableError):
        await parts_of(session, question())


async def test_it_asks_functions() -> None:
    def shout(request: Request) -> str:
        return request.turns[-1].text.upper()

    async def whisper(request: Request) -> str:
        return request.turns[-1].text.lower()

    session = await ScriptedModel([shout, whisper]).open()

    assert (await session.complete(question("Hi"))).text == "HI"
    assert (await session.complete(question("Hi"))).text == "hi"


async def test_it_waits_for_a_gate() -> None:
    gate = anyio.Event()
    session = await ScriptedModel([Step("late", gate=gate), Step("later", gate=gate.wait)]).open()
    replies: list[Reply] = []

    async def ask() -> None:
        replies.append(await session.complete(question()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert replies == []
        gate.set()

    assert sorted(reply.text for reply in replies) == ["late", "later"]


async def test_an_unexpected_request_fails_loudly_and_again_at_the_end() -> None:
    model = ScriptedModel(["one"])
    session = await model.open()
    await session.complete(question())

    with pytest.raises(ScriptError, match="no answer left for 'too much'") as caught:
        await session.complete(question("too much"))
    assert isinstance(caught.value, ModelError)
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(ScriptError, match="1 times too often: 'too much'"):
        model.check_consumed()


async def test_unconsumed_steps_fail_at_the_end() -> None:
    with pytest.raises(ScriptError, match="2 answers left"), ScriptedModel(["one", "two"]):
        pass


async def test_an_error_of_the_test_is_not_hidden_by_unconsumed_steps() -> None:
    with pytest.raises(KeyError), ScriptedModel(["one"]):
        raise KeyError


async def test_steps_can_be_added_and_sessions_share_them() -> None:
    model = ScriptedModel()
    model.add("one", Step("two"))
    first, second = await model.open(), await model.open()

    assert (await first.complete(question())).text == "one"
    assert repr(model) == "<ScriptedModel 'scripted::model' 1 answers left>"
    assert (await second.complete(question())).text == "two"
    model.check()
    model.check_consumed()
    await first.aclose()
