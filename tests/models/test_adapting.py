"""What is done for a server that cannot: what it is asked instead, and what is read out of its answer."""

import itertools
from contextlib import aclosing
from typing import Any

import jsonschema
import msgspec
import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelTimeoutError
from ceylon.models.adapting import AdaptedSession, adapt
from ceylon.models.port import Abilities
from ceylon.models.turns import (
    Native,
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
    Usage,
)
from ceylon.testing import ScriptedModel, Step
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio

SKU = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
STOCK = Tool("stock", "Says how many there are.", SKU)
PLACE = {"Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
AT_PLACE = {"type": "object", "properties": {"at": {"$ref": "#/$defs/Place"}}, "required": ["at"]}
WEATHER = Tool("weather", "Says how it is there.", {**AT_PLACE, "$defs": PLACE})
COUNT = OutputSchema("count", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
NO_TOOLS = Abilities(tools=False)
TALK = (
    Turn("system", "be brief"),
    Turn("user", "how many?"),
    Turn("assistant", "Let me see.", calls=(ToolCall("call_0", "stock", {"sku": "A7"}),)),
    Turn("tool", results=(ToolResult("call_0", "stock", "3"), ToolResult("call_1", "stock", "gone", is_error=True))),
)


async def adapted(model: ScriptedModel) -> AdaptedSession:
    return adapt(await model.open())


async def both(request: Request, *steps: Any, abilities: Abilities) -> tuple[list[Part], Reply, ScriptedModel]:
    """Return the parts and the reply to *request*; asked whole, it must be the same reply."""
    model = ScriptedModel([*steps, *steps], abilities=abilities)
    session = await adapted(model)
    whole = await session.complete(request)
    *parts, last = await parts_of(session, request)
    assert isinstance(last, ReplyPart)
    assert last.reply == whole
    assert text_of(parts) == whole.text
    assert tuple(part.call for part in parts if isinstance(part, ToolCallPart)) == whole.calls
    model.check_consumed()
    return parts, whole, model


# -- nothing to do


@pytest.mark.parametrize("abilities", [Abilities(), NO_TOOLS, Abilities(output="prompt")])
async def test_a_question_without_tools_and_schema_goes_straight_on(abilities: Abilities) -> None:
    model = ScriptedModel(["yes"], abilities=abilities)
    request = question()

    await (await adapted(model)).complete(request)

    assert model.requests[0] is request


async def test_a_server_that_can_do_all_gets_all() -> None:
    model = ScriptedModel([ToolCall("a", "stock")], abilities=Abilities())
    request = question(tools=(STOCK,), tool_choice="stock", output=COUNT)

    await (await adapted(model)).complete(request)

    assert model.requests[0] is request


async def test_adapting_twice_is_once_and_an_adapted_session_can_do_all() -> None:
    session = await adapted(ScriptedModel(abilities=NO_TOOLS))

    assert adapt(session) is session
    assert session.abilities == Abilities()
    await session.aclose()


async def test_an_agents_session_is_adapted() -> None:
    def stock(sku: str) -> int:
        """Say how many there are."""
        return {"A7": 3}[sku]

    steps = ['{"tool": "stock", "arguments": {"sku": "A7"}}', '{"answer": "There are 3."}']
    model = ScriptedModel(steps, abilities=NO_TOOLS)
    async with Mesh("shop") as mesh:
        keeper = LlmAgent("keeper", model, tools=[stock])
        mesh.add(keeper)

        reply = await keeper.complete("How many of A7 are there?")

    assert reply.text == "There are 3."
    assert model.requests[1].turns[-1].text.startswith("Result of stock: 3\n")


# -- tools by a schema


async def test_a_call_by_the_schema_is_a_call() -> None:
    step = '{"tool": "stock", "arguments": {"sku": "A7"}}'

    parts, reply, model = await both(question(tools=(STOCK, WEATHER)), step, abilities=NO_TOOLS)

    assert parts == [ToolCallPart(ToolCall("call_0", "stock", {"sku": "A7"}))]
    assert (reply.text, reply.finish) == ("", "tool")
    sent = model.requests[0]
    assert sent.tools == ()
    assert sent.turns[0].role == "system"
    assert "stock: Says how many there are." in sent.turns[0].text


async def test_an_answer_by_the_schema_comes_word_by_word() -> None:
    parts, reply, _ = await both(question(tools=(STOCK,)), '{"answer": "There are three."}', abilities=NO_TOOLS)

    assert parts == [TextPart("There"), TextPart(" are"), TextPart(" three.")]
    assert (reply.text, reply.calls, reply.finish) == ("There are three.", (), "stop")


async def test_the_answers_schema_stands_beside_the_tools() -> None:
    step = '{"answer": {"n": 3}}'

    _, reply, model = await both(question(tools=(STOCK,), output=COUNT), step, abilities=NO_TOOLS)

    assert msgspec.json.decode(reply.text) == {"n": 3}
    asked = model.requests[0].output
    assert asked is not None
    assert asked.schema["anyOf"][-1]["properties"]["answer"] == COUNT.schema


def alternatives(request: Request) -> list[str]:
    """Return what the schema of *request* allows: the names of tools, and ``answer``."""
    assert request.output is not None
    schema = request.output.schema
    each = schema.get("anyOf", [schema])
    return [one["properties"]["tool"]["enum"][0] if "tool" in one["properties"] else "answer" for one in each]


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        ("auto", ["stock", "weather", "answer"]),
        ("required", ["stock", "weather"]),
        ("weather", ["weather"]),
        ("unknown", ["stock", "weather"]),
    ],
)
async def test_a_choice_is_kept_by_the_schema(choice: str, allowed: list[str]) -> None:
    model = ScriptedModel(['{"tool": "stock"}'], abilities=NO_TOOLS)

    await (await adapted(model)).complete(question(tools=(STOCK, WEATHER), tool_choice=choice))

    assert alternatives(model.requests[0]) == allowed
    assert model.requests[0].tool_choice == "auto"


async def test_a_choice_of_none_leaves_tools_and_schema_out() -> None:
    model = ScriptedModel(["no"], abilities=NO_TOOLS)

    await (await adapted(model)).complete(question(tools=(STOCK,), tool_choice="none"))

    assert (model.requests[0].tools, model.requests[0].output) == ((), None)


async def test_a_server_that_cannot_be_made_to_call_is_held_to_it_by_the_schema() -> None:
    abilities = Abilities(tool_choice=False, output_with_tools=False)
    step = '{"tool": "stock", "arguments": {"sku": "A7"}}'

    _, reply, model = await both(question(tools=(STOCK,), tool_choice="required"), step, abilities=abilities)

    assert reply.calls[0].name == "stock"
    assert model.requests[0].tools == ()


async def test_the_definitions_of_several_schemas_do_not_meet() -> None:
    other = Tool("other", "", {**AT_PLACE, "$defs": {"Place": SKU}})
    output = OutputSchema("place", {**AT_PLACE, "$defs": {"Place": {"type": "object", "properties": {}}}})
    model = ScriptedModel(['{"answer": "x"}'], abilities=NO_TOOLS)

    await (await adapted(model)).complete(question(tools=(WEATHER, other), output=output))

    asked = model.requests[0].output
    assert asked is not None
    steps: list[dict[str, Any]] = [
        {"tool": "weather", "arguments": {"at": {"city": "Kandy"}}},
        {"tool": "other", "arguments": {"at": {"sku": "A7"}}},
        {"answer": {"at": {}}},
        {"tool": "weather", "arguments": {"at": {"sku": "A7"}}},
        {"tool": "other", "arguments": {"at": {}}},
    ]
    validator = jsonschema.Draft202012Validator(asked.schema)
    assert [validator.is_valid(step) for step in steps] == [True, True, True, False, False]


async def test_calls_and_results_are_told_in_words() -> None:
    for tools in ((), (STOCK,)):
        model = ScriptedModel(['{"answer": "x"}'], abilities=NO_TOOLS)

        await (await adapted(model)).complete(Request(turns=TALK, tools=tools))

        _, _, called, told = model.requests[0].turns
        assert (called.role, called.text) == (
            "assistant",
            'Let me see.\n{"tool":"stock","arguments":{"sku":"A7"}}',
        )
        assert (told.role, told.text) == (
            "user",
            "Result of stock: 3\nError of stock: gone\nIf you know enough, write your answer now.",
        )
        assert model.requests[0].turns[0].text.startswith("be brief")


async def test_a_new_call_has_an_id_the_talk_has_not_seen() -> None:
    _, reply, _ = await both(Request(turns=TALK, tools=(STOCK,)), '{"tool": "stock"}', abilities=NO_TOOLS)

    assert reply.calls[0].id == "call_1"


@pytest.mark.parametrize("written", ['{"tool": "stock", "argu', '{"tool": "stock", "arguments": {"sku": "A7"}}', "{"])
async def test_no_call_comes_out_of_an_answer_that_a_limit_has_cut(written: str) -> None:
    _, reply, _ = await both(question(tools=(STOCK,)), Reply(text=written, finish="length"), abilities=NO_TOOLS)

    assert (reply.text, reply.calls, reply.finish) == ("", (), "length")


async def test_an_answer_that_a_limit_has_cut_is_what_was_said() -> None:
    step = Reply(text='{"answer": "so far', finish="length")

    _, reply, _ = await both(question(tools=(STOCK,)), step, abilities=NO_TOOLS)

    assert (reply.text, reply.finish) == ("so far", "length")


async def test_a_tool_that_there_is_not_is_told_of() -> None:
    _, reply, _ = await both(question(tools=(STOCK,)), '{"tool": "gone", "arguments": [1]}', abilities=NO_TOOLS)

    assert reply.calls == (ToolCall("call_0", "gone", {}, "[1]"),)


async def test_what_a_provider_wants_back_is_not_what_was_made_of_it() -> None:
    step = Reply(text='{"tool": "stock"}', thinking="hm", native=Native("x", 1), usage=Usage(output=3), model="m")

    parts, reply, _ = await both(question(tools=(STOCK,)), step, abilities=NO_TOOLS)

    assert parts[0] == ThinkingPart("hm")
    assert (reply.native, reply.thinking, reply.usage, reply.model) == (None, "hm", Usage(output=3), "m")


async def test_tools_and_schema_by_words_alone() -> None:
    step = 'Sure!\n```json\n{"tool": "stock", "arguments": {"sku": "A7"}}\n```'

    _, reply, model = await both(question(tools=(STOCK,)), step, abilities=Abilities(tools=False, output="prompt"))

    assert reply.calls == (ToolCall("call_0", "stock", {"sku": "A7"}),)
    assert model.requests[0].output is None
    assert "JSON schema" in model.requests[0].turns[0].text


# -- a schema as a tool


async def test_the_arguments_of_the_tool_are_the_answer() -> None:
    step = Reply(text="Here:", calls=(ToolCall("a", "count", {"n": 3}),), finish="tool", native=Native("x", 1))

    parts, reply, model = await both(question(output=COUNT), step, abilities=Abilities(output="tool"))

    assert parts == [TextPart('{"n":3}')]
    assert (reply.calls, reply.finish, reply.native) == ((), "stop", None)
    sent = model.requests[0]
    assert ([tool.name for tool in sent.tools], sent.tool_choice, sent.output) == (["count"], "count", None)


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        ("auto", "required", ["stock", "count"]),
        ("none", "count", ["stock", "count"]),
        ("required", "required", ["stock"]),
        ("stock", "stock", ["stock"]),
    ],
)
async def test_the_answers_tool_is_called_where_an_answer_may_be(choice: str, sent: str, names: list[str]) -> None:
    model = ScriptedModel(["x"], abilities=Abilities(output="tool"))

    await (await adapted(model)).complete(question(tools=(STOCK,), tool_choice=choice, output=COUNT))

    assert model.requests[0].tool_choice == sent
    assert [tool.name for tool in model.requests[0].tools] == names


async def test_other_calls_come_before_the_answer() -> None:
    call = ToolCall("a", "stock", {"sku": "A7"})

    _, reply, _ = await both(
        question(tools=(STOCK,), output=COUNT),
        [call, ToolCall("b", "count", {"n": 1})],
        abilities=Abilities(output="tool"),
    )

    assert (reply.calls, reply.finish) == ((call,), "tool")


async def test_a_tool_of_the_schemas_name_is_another_one() -> None:
    model = ScriptedModel([ToolCall("a", "stock_answer", {"n": 1})], abilities=Abilities(output="tool"))
    output = OutputSchema("stock", COUNT.schema)

    reply = await (await adapted(model)).complete(question(tools=(STOCK,), output=output))

    assert reply.text == '{"n":1}'


async def test_arguments_that_are_no_object_are_the_answer_that_is_wrong() -> None:
    step = ToolCall("a", "count", {}, "{n")

    _, reply, _ = await both(question(output=COUNT), step, abilities=Abilities(output="tool"))

    assert (reply.text, reply.calls) == ("{n", ())


async def test_words_instead_of_the_tool_are_the_answer_that_is_wrong() -> None:
    _, reply, _ = await both(question(output=COUNT), "three", abilities=Abilities(output="tool"))

    assert reply.text == "three"


# -- a schema by words


@pytest.mark.parametrize(
    "said", ['{"n": 3}', 'Sure!\n```json\n{"n": 3}\n```', '```\n{"n": 3}```\nAnything {else}?', ' {"n": 3}\n']
)
async def test_the_object_is_the_answer_and_the_words_round_it_are_not(said: str) -> None:
    _, reply, model = await both(question(output=COUNT), said, abilities=Abilities(output="prompt"))

    assert reply.text == '{"n": 3}'
    assert msgspec.json.encode(COUNT.schema).decode() in model.requests[0].turns[0].text


async def test_an_answer_without_an_object_is_what_was_said() -> None:
    _, reply, _ = await both(question(output=COUNT), "three of them", abilities=Abilities(output="prompt"))

    assert reply.text == "three of them"


async def test_tools_stay_tools_where_only_the_schema_is_told() -> None:
    call = ToolCall("a", "stock", {"sku": "A7"})
    request = question(tools=(STOCK,), output=COUNT)

    _, reply, model = await both(request, ["Let me see.", call], abilities=Abilities(output="prompt"))

    assert (reply.text, reply.calls) == ("Let me see.", (call,))
    assert model.requests[0].tools == (STOCK,)


async def test_a_server_that_can_neither_be_made_to_call_nor_held_to_a_schema_is_told() -> None:
    abilities = Abilities(tool_choice=False, output="prompt")
    model = ScriptedModel([ToolCall("a", "stock")], abilities=abilities)

    await (await adapted(model)).complete(question(tools=(STOCK, WEATHER), tool_choice="stock"))

    sent = model.requests[0]
    assert ([tool.name for tool in sent.tools], sent.tool_choice) == (["stock"], "auto")
    assert "call a tool" in sent.turns[0].text


# -- calls first, then the schema

ONE_AT_A_TIME = Abilities(output_with_tools=False)


async def test_a_call_needs_no_second_request() -> None:
    call = ToolCall("a", "stock", {"sku": "A7"})

    parts, reply, model = await both(
        question(tools=(STOCK,), output=COUNT), ["Let me see.", call], abilities=ONE_AT_A_TIME
    )

    assert parts == [ToolCallPart(call), TextPart("Let me see.")]
    assert reply.requests == 1
    assert model.requests[0].output is None


async def test_the_answer_is_given_once_more_by_the_schema() -> None:
    first = Reply(text="Three.", thinking="a", usage=Usage(input=5, output=1))
    second = Reply(text='{"n": 3}', thinking="b", usage=Usage(input=9, output=2))

    parts, reply, model = await both(
        question("how many?", tools=(STOCK,), output=COUNT, timeout=60.0), first, second, abilities=ONE_AT_A_TIME
    )

    assert parts == [ThinkingPart("a"), ThinkingPart("b"), TextPart('{"n":'), TextPart(" 3}")]
    assert (reply.usage, reply.requests, reply.thinking) == (Usage(input=14, output=3), 2, "ab")
    again = model.requests[1]
    assert (again.tools, again.output) == ((), COUNT)
    assert [turn.role for turn in again.turns] == ["user", "assistant", "user"]
    assert again.timeout is not None
    assert 0 < again.timeout <= 60.0


async def test_what_a_provider_has_stopped_is_not_asked_again() -> None:
    step = Reply(text="I cannot", finish="filter")

    _, reply, _ = await both(question(tools=(STOCK,), output=COUNT), step, abilities=ONE_AT_A_TIME)

    assert reply == step


async def test_tools_that_are_not_to_be_called_take_no_request_of_their_own() -> None:
    _, reply, model = await both(
        question(tools=(STOCK,), tool_choice="none", output=COUNT), '{"n": 3}', abilities=ONE_AT_A_TIME
    )

    assert (reply.text, reply.requests) == ('{"n": 3}', 1)
    assert (model.requests[0].tools, model.requests[0].output) == ((), COUNT)


async def test_the_two_requests_share_their_time() -> None:
    model = ScriptedModel(["Three.", ModelTimeoutError("m", 1.0)], abilities=ONE_AT_A_TIME)

    with pytest.raises(ModelTimeoutError):
        await (await adapted(model)).complete(question(tools=(STOCK,), output=COUNT, timeout=0.0))

    assert model.requests[1].timeout == 0.0


# -- every road is closed behind whoever leaves it


@pytest.mark.parametrize(
    ("abilities", "step"),
    [
        (NO_TOOLS, '{"answer": "one two three"}'),
        (Abilities(output="prompt"), '{"n": 3, "m": 4}'),
        (ONE_AT_A_TIME, [ThinkingPart("hm"), "one"]),
    ],
)
async def test_a_stream_that_is_left_is_closed_to_its_end(abilities: Abilities, step: Any) -> None:
    closed: list[bool] = []

    class Watched:
        def __init__(self, inner: Any) -> None:
            self._inner, self.abilities = inner, abilities

        async def stream(self, request: Request) -> Any:
            try:
                async with aclosing(self._inner.stream(request)) as parts:
                    async for part in parts:
                        yield part
            finally:
                closed.append(True)

    session = adapt(Watched(await ScriptedModel([Step(step)]).open()))  # type: ignore[arg-type]
    async with aclosing(session.stream(question(tools=(STOCK,), output=COUNT))) as parts:
        await anext(parts)
        assert closed == []

    assert closed == [True]


@pytest.mark.parametrize(
    ("tools", "choice", "output", "output_with_tools", "way"),
    list(
        itertools.product(
            (True, False),
            (True, False),
            ("schema", "tool", "prompt"),
            (True, False),
            ("auto", "none", "required", "stock"),
        )
    ),
)
async def test_no_server_gets_what_it_does_not_take(
    *, tools: bool, choice: bool, output: Any, output_with_tools: bool, way: str
) -> None:
    abilities = Abilities(tools=tools, tool_choice=choice, output=output, output_with_tools=output_with_tools)
    model = ScriptedModel(["x"] * 2, abilities=abilities)

    await (await adapted(model)).complete(Request(turns=TALK, tools=(STOCK,), tool_choice=way, output=COUNT))

    for request in model.requests:
        assert tools or not request.tools
        assert tools or not any(turn.calls or turn.results for turn in request.turns)
        assert choice or request.tool_choice == "auto"
        assert output == "schema" or request.output is None
        assert output_with_tools or not (request.tools and request.output)
