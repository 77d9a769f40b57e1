"""ReAct: what a model without tools is told, and what is read out of the words it writes."""

from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceylon.errors import ModelRateLimitError
from ceylon.models.adapting import adapt, reacting
from ceylon.models.fallback import FallbackModel
from ceylon.models.http import HttpClient
from ceylon.models.port import Abilities
from ceylon.models.react import ReAct
from ceylon.models.react_reader import ReActReader
from ceylon.models.resolve import resolve
from ceylon.models.turns import (
    OutputSchema,
    Part,
    Reply,
    ReplyPart,
    Request,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCall,
    ToolCallPart,
    ToolResult,
    Turn,
)
from ceylon.testing import ScriptedModel
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio

TEXT = {"type": "string"}
STOCK = Tool("stock", "Says how many there are.", {"properties": {"sku": TEXT}, "required": ["sku"]})
MOVE = Tool(
    "move", "Moves.", {"properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x", "y"]}
)
WAIT = Tool("wait", "Waits.", {"type": "object", "properties": {}})
TOOLS = (STOCK, MOVE, WAIT)
COUNT = OutputSchema("count", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
A7 = ("stock", {"sku": "A7"}, "")


Outcome: TypeAlias = tuple[str, list[tuple[str, dict[str, Any], str]], str]


def outcome(*pieces: str, is_json: bool = False, reader: type[ReActReader] = ReActReader) -> Outcome:
    """Return the thoughts, the calls and the answer that are read out of *pieces*."""
    reading = reader(TOOLS, is_json=is_json)
    parts = [part for piece in pieces for part in reading.feed(piece)] + reading.finish()
    assert text_of(parts) == reading.answer
    calls = [(call.name, call.arguments, call.invalid) for call in reading.calls(())]
    return thoughts_of(parts), calls, reading.answer


def thoughts_of(parts: list[Part]) -> str:
    """Return the thoughts of streamed parts, joined."""
    return "".join(part.text for part in parts if isinstance(part, ThinkingPart))


# -- what is read

CALL = 'Thought: I look.\nAction: stock\nAction Input: {"sku": "A7"}'

READ = {
    "a call": (CALL, "I look.", [A7], ""),
    "an answer": ("Thought: I know.\nFinal Answer: Three.\n\nYes.", "I know.", [], "Three.\n\nYes."),
    "no mark at all": ("There are three.", "", [], "There are three."),
    "a thought only": ("Thought: There are three.", "There are three.", [], "There are three."),
    "nothing": ("", "", [], ""),
    "words before the marks": ("Let me see.\n" + CALL, "Let me see.\nI look.", [A7], ""),
    "an invented observation": (f"{CALL}\nObservation: 9\nThought: Nine!\nFinal Answer: 9", "I look.", [A7], ""),
    "one on the same line": (f"{CALL} Observation: 9\nThought: Nine!\nAction: wait", "I look.", [A7], ""),
    "one in an action": ("Action: wait Observation: ok\nAction: move", "", [("wait", {}, "")], ""),
    "one behind a broken object": (
        'Action: stock\nAction Input: {"sku": "A7" Observation: 9\nAction: wait',
        "",
        [("stock", {}, '{"sku": "A7"')],
        "",
    ),
    "one behind an answer": ("Final Answer: 3\nObservation: right\nThought: good", "", [], "3"),
    "one behind plain words": ("Three.\n**Observation:** right", "", [], "Three."),
    "the word in a string": (
        'Action: stock\nAction Input: {"sku": "Observation: A7"}',
        "",
        [("stock", {"sku": "Observation: A7"}, "")],
        "",
    ),
    "an answer before its observation": (f"{CALL}\nFinal Answer: 9", "I look.", [A7], ""),
    "an action behind an answer": ("Final Answer: do this:\nAction: wait", "", [], "do this:\nAction: wait"),
    "several actions": (f"{CALL}\nThought: Then.\nAction: wait", "I look.\nThen.", [A7, ("wait", {}, "")], ""),
    "numbers": ('Thought 1: I look.\nAction 1: stock\nAction Input 1: {"sku": "A7"}', "I look.", [A7], ""),
    "bold marks": ('**Thought:** I look.\n**Action**: stock\n**Action Input:** {"sku": "A7"}', "I look.", [A7], ""),
    "headings": ("## Thought: I know.\n### Final Answer: Three.", "I know.", [], "Three."),
    "bold words": ("Final Answer: **three**", "", [], "**three**"),
    "small letters": ('thought: I look.\naction: stock\naction_input: {"sku": "A7"}', "I look.", [A7], ""),
    "one line": ('Thought: I look. Action: stock Action Input: {"sku": "A7"}', "I look.", [A7], ""),
    "an answer on one line": ("Thought: I know. Final Answer: Three.", "I know.", [], "Three."),
    "a fence round the input": ('Action: `stock`\nAction Input: ```json\n{"sku": "A7"}\n```', "", [A7], ""),
    "a fence round all": ('```\nAction: stock\nAction Input: {"sku": "A7"}\n```', "", [A7], ""),
    "words behind the input": (CALL + "\nNow I wait.", "I look.", [A7], ""),
    "an object of several lines": ('Action: stock\nAction Input:\n{\n  "sku":\n "A7"\n}', "", [A7], ""),
    "plain input": ("Action: stock\nAction Input: A7", "", [A7], ""),
    "quoted input": ('Action: stock\nAction Input: "A7"', "", [A7], ""),
    "single quotes": ("Action: stock\nAction Input: 'A7'", "", [A7], ""),
    "named input": ("Action: stock\nAction Input: sku=A7", "", [A7], ""),
    "a number for a text": ("Action: stock\nAction Input: 7", "", [("stock", {"sku": "7"}, "")], ""),
    "a call in code": ('Action: stock("A7")', "", [A7], ""),
    "a call in brackets": ("Action: stock[A7]", "", [A7], ""),
    "an object as the action": ('Action:\n```\n{"action": "stock", "action_input": {"sku": "A7"}}\n```', "", [A7], ""),
    "no input": ("Action: wait", "", [("wait", {}, "")], ""),
    "input for a tool that takes none": ("Action: wait\nAction Input: None", "", [("wait", {}, "")], ""),
    "words for several parameters": ("Action: move\nAction Input: 1, 2", "", [("move", {}, "1, 2")], ""),
    "a broken object": ('Action: stock\nAction Input: {"sku": ', "", [("stock", {}, '{"sku":')], ""),
    "a tool that there is not": ("Action: fly\nAction Input: {}", "", [("fly", {}, "")], ""),
    "an input without an action": ('Action Input: {"sku": "A7"}', "", [("", {"sku": "A7"}, "")], ""),
    "no action": ("Thought: I know.\nAction: None\nFinal Answer: Three.", "I know.", [], "Three."),
    "the answer as an action": ("Action: Final Answer\nAction Input: Three.", "", [], "Three."),
    "the answer twice": ("Action: finish\nAction Input: Three.\nFinal Answer: Four.", "", [], "Three."),
}


@pytest.mark.parametrize(("written", "thoughts", "calls", "answer"), READ.values(), ids=READ)
def test_what_small_models_write_is_read(written: str, thoughts: str, calls: list[Any], answer: str) -> None:
    assert outcome(written) == (thoughts, calls, answer)


@pytest.mark.parametrize("written", [written for written, *_ in READ.values()], ids=READ)
def test_how_a_stream_is_cut_changes_nothing(written: str) -> None:
    whole = outcome(written)

    assert outcome(*written) == whole
    for cut in range(len(written)):
        assert outcome(written[:cut], written[cut:]) == whole


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ('Final Answer: {"n": 3}', '{"n": 3}'),
        ('Final Answer:\n```json\n{"n":\n3}\n```\nDone.', '{"n":\n3}'),
        ('{"n": 3}', '{"n": 3}'),
        ('Thought: I know: {"n": 3}', '{"n": 3}'),
        ("Final Answer: three", "three"),
    ],
)
def test_an_answer_that_is_an_object_is_taken_out_of_the_words(written: str, answer: str) -> None:
    assert outcome(written, is_json=True)[2] == answer
    assert outcome(*written, is_json=True)[2] == answer


def test_thoughts_and_answers_come_as_they_are_written() -> None:
    reader = ReActReader(TOOLS)

    shown = [reader.feed(piece) for piece in ("Thought: I ", "know", ".\nFinal ", "Answer: It", " is", "\nthree")]

    assert shown == [
        [ThinkingPart("I")],
        [ThinkingPart(" know")],
        [ThinkingPart(".")],
        [TextPart("It")],
        [TextPart(" is")],
        [TextPart("\nthree")],
    ]


WORDS = st.sampled_from(
    [
        *("Thought", "Action", "Action Input", "Final Answer", "Observation", ":", ": ", "\n", " ", ". ", "**", "```"),
        *("stock", "wait", "fly", "None", "finish", '{"sku": "A7"}', '{"', "}", "[", '"', "\\", "A7", "x", "(", ")"),
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=24)


@given(TEXTS, st.booleans())
@settings(max_examples=300)
def test_any_text_is_read_and_in_any_pieces_the_same(pieces: list[str], is_json: bool) -> None:  # noqa: FBT001 – drawn
    assert outcome(*pieces, is_json=is_json) == outcome("".join(pieces), is_json=is_json)


def check_nothing_invented(before: str, behind: str, reader: type[ReActReader] = ReActReader) -> None:
    """Fail if anything behind an observation changes what is read."""
    cut = f"Thought: a\n{before}\nObservation:"

    assert outcome(f"{cut}{behind}", reader=reader) == outcome(cut, reader=reader)


@given(TEXTS.map("".join), TEXTS.map("".join))
@settings(max_examples=200)
def test_nothing_behind_an_invented_observation_counts(before: str, behind: str) -> None:
    check_nothing_invented(before, behind)


class Credulous(ReActReader):
    """Takes an invented observation for a thought."""

    def feed(self, text: str) -> list[Part]:
        return super().feed(text.replace("Observation:", "Thought:"))


def test_a_reader_that_believes_an_invented_observation_is_found_out() -> None:
    with pytest.raises(AssertionError):
        check_nothing_invented(CALL, " 9\nAction: wait", Credulous)


# -- what is asked, and what comes back


DEFAULT = ReAct()


async def both(
    request: Request, *steps: Any, options: ReAct = DEFAULT, takes_stop: bool = True
) -> tuple[Reply, Request]:
    """Return the reply to *request*, asked whole and streamed the same, and what the model was asked."""
    model = ScriptedModel([*steps, *steps], abilities=Abilities(stop=takes_stop))
    session = reacting(adapt(await model.open()), options)
    whole = await session.complete(request)
    *parts, last = await parts_of(session, request)
    assert last == ReplyPart(whole)
    assert text_of(parts) == whole.text
    assert thoughts_of(parts) == whole.thinking
    assert tuple(part.call for part in parts if isinstance(part, ToolCallPart)) == whole.calls
    return whole, model.requests[0]


async def test_a_call_is_asked_for_in_words_and_read_back() -> None:
    reply, asked = await both(question("how many?", tools=(STOCK,), stop=("END",)), CALL)

    assert (asked.tools, asked.output, asked.stop) == ((), None, ("END", "\nObservation:"))
    assert '- stock: Says how many there are. Input: {"sku": <string>}' in asked.turns[0].text
    assert (reply.finish, reply.thinking, reply.text) == ("tool", "I look.", "")
    assert reply.calls == (ToolCall("call_0", "stock", {"sku": "A7"}),)


async def test_what_was_said_before_is_told_in_the_form() -> None:
    calls = (ToolCall("call_0", "stock", {"sku": "A7"}), ToolCall("call_1", "fly", invalid="to"))
    results = (ToolResult("call_0", "stock", "3"), ToolResult("call_1", "fly", "no such tool", is_error=True))
    turns = (
        Turn("user", "hi"),
        Turn("assistant", "hello"),
        Turn("user", "how many?"),
        Turn("assistant", thinking="I look.", calls=calls),
        Turn("tool", results=results),
    )

    reply, asked = await both(Request(turns=turns, tools=TOOLS), CALL)

    assert [turn.text for turn in asked.turns[2:]] == [
        "Final Answer: hello",
        "how many?",
        'Thought: I look.\nAction: stock\nAction Input: {"sku":"A7"}\nAction: fly\nAction Input: to',
        "Observation: stock: 3\nObservation: fly: Error: no such tool",
    ]
    assert [call.id for call in reply.calls] == ["call_2"]


async def test_an_output_is_told_and_read() -> None:
    answer = 'Thought: I know.\nFinal Answer: Here: {"n": 3}.'

    reply, asked = await both(question(tools=TOOLS, output=COUNT), answer)

    assert asked.output is None
    assert '"integer"' in asked.turns[0].text
    assert (reply.text, reply.finish) == ('{"n": 3}', "stop")


async def test_a_tool_that_is_chosen_is_the_only_one_told() -> None:
    _, asked = await both(question(tools=TOOLS, tool_choice="move"), "Action: move")

    assert "- move:" in asked.turns[0].text
    assert "- stock:" not in asked.turns[0].text
    assert "use a tool first" in asked.turns[0].text


@pytest.mark.parametrize("wishes", [{}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_a_request_without_tools_keeps_its_schema(wishes: dict[str, Any]) -> None:
    reply, asked = await both(question(output=COUNT, **wishes), '{"n": 3}')

    assert (asked.output, asked.stop) == (COUNT, ())
    assert reply.text == '{"n": 3}'


async def test_an_answer_that_a_limit_ended_has_no_calls() -> None:
    reply, _ = await both(question(tools=TOOLS), Reply(text=CALL, finish="length"))

    assert (reply.calls, reply.text, reply.finish) == ((), "", "length")


async def test_calls_before_an_invented_observation_are_whole_whatever_limit_ended_that() -> None:
    reply, _ = await both(question(tools=TOOLS), Reply(text=f"{CALL}\nObservation: 9\nThou", finish="length"))

    assert (len(reply.calls), reply.finish) == (1, "tool")


async def test_a_server_that_takes_no_stop_texts_is_given_none() -> None:
    for options, takes_stop in ((ReAct(), False), (ReAct(stop=()), True)):
        _, asked = await both(question(tools=TOOLS), CALL, options=options, takes_stop=takes_stop)

        assert asked.stop == ()


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ({"type": "integer"}, '{"x": <integer>}'),
        ({"type": "string", "description": "A name."}, '{"x": <string: A name.>}'),
        ({"type": ["string", "null"]}, '{"x": <{"type":["string","null"]}>}'),
        ({"enum": ["a", "b"]}, '{"x": <"a" or "b">}'),
        ({"type": "array", "items": TEXT}, '{"x": <{"type":"array","items":{"type":"string"}}>}'),
    ],
)
async def test_the_input_of_a_tool_is_shown_as_it_is_to_be_written(kind: dict[str, Any], shown: str) -> None:
    parameters = {"type": "object", "properties": {"x": kind}}
    tools = (
        Tool("must", "Must.", {**parameters, "required": ["x"]}),
        Tool("may", "May.", {"properties": {"y": {**TEXT, "description": "Why."}}}),
        Tool("deep", "Deep.", {**parameters, "$defs": {}}),
    )

    _, asked = await both(question(tools=tools), CALL)

    lines = asked.turns[0].text.splitlines()[-3:]
    assert lines[0] == f"- must: Must. Input: {shown}"
    assert lines[1] == '- may: May. Input: {"y": <string: Why.; may be left out>}'
    assert '"$defs":{}' in lines[2]


async def test_no_stop_texts_go_to_the_responses_api(client: HttpClient) -> None:
    session = adapt(await resolve("openai-responses::test-model", api_key="key").open(client))

    assert not session.abilities.stop


async def test_no_stop_texts_go_where_a_fallback_took_none(client: HttpClient) -> None:
    first = ScriptedModel([ModelRateLimitError("m", 429, "no"), CALL])
    second = ScriptedModel([CALL], abilities=Abilities(stop=False))
    session = reacting(await FallbackModel((first, second), {}).open(client), ReAct())
    request = question(tools=TOOLS)

    await session.complete(request)
    await session.complete(request)

    assert [asked.stop for asked in first.requests] == [("\nObservation:",), ()]


async def test_the_prompt_can_be_another() -> None:
    tool = Tool("stock", "{answer}", STOCK.parameters)

    _, asked = await both(question(tools=(tool,)), CALL, options=ReAct(prompt="Outils : {tools} ({answer})"))

    assert asked.turns[0].text.startswith("Outils : - stock: {answer} Input")


async def test_what_a_reasoning_model_shows_stands_before_its_thoughts() -> None:
    reply, _ = await both(question(tools=TOOLS), [ThinkingPart("Hm."), TextPart(CALL)])

    assert reply.thinking == "Hm.\nI look."
    assert msgspec.json.decode(msgspec.json.encode(reply), type=Reply) == reply
