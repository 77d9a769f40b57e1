"""Answers of a type: whatever msgspec or pydantic reads, checked, asked for again when wrong, never given out wrong."""

import dataclasses
import datetime as dt
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from ceylon import HandlerError, LlmAgent, Mesh, Message, Reply, ToolCall, action
from ceylon.agents.outputs import output_of
from ceylon.errors import DefinitionError, OutputError
from ceylon.models.scripted import ScriptedModel
from ceylon.settings import DEFAULTS
from support.llm import plays
from support.turns import wants


class Colour(enum.Enum):
    """What tea looks like."""

    GREEN = "green"
    BLACK = "black"


class Tea(msgspec.Struct):
    """One sort of tea."""

    name: str
    colour: Colour
    price: Annotated[float, msgspec.Meta(gt=0)]
    picked: dt.date | None = None


class Water(msgspec.Struct, tag="water"):
    """Water."""

    degrees: int


class Milk(msgspec.Struct, tag="milk"):
    """Milk."""

    fat: float


@dataclasses.dataclass
class Cup:
    """A cup."""

    size: int
    teas: list[Tea] = dataclasses.field(default_factory=list)


class Saucer(TypedDict):
    """What stands below."""

    size: int


class Tree(msgspec.Struct):
    """Holds itself."""

    name: str
    below: list["Tree"] = []


class Summary(msgspec.Struct):
    """A topic in few words."""

    words: str


class Topic(Message["Summary"], tag="test_outputs.Topic"):
    """Summarise *title*."""

    title: str


GREEN = '{"name": "sencha", "colour": "green", "price": 4.5, "picked": "2026-05-01"}'


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (Tea, GREEN, Tea("sencha", Colour.GREEN, 4.5, dt.date(2026, 5, 1))),
        (Cup, '{"size": 2}', Cup(2)),
        (Saucer, '{"size": 3}', {"size": 3}),
        (Tree, '{"name": "a", "below": [{"name": "b"}]}', Tree("a", [Tree("b")])),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (int, '{"value": 7}', 7),
        (bool, '{"value": true}', True),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Water | Milk, '{"value": {"type": "milk", "fat": 3.5}}', Milk(3.5)),
        (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
        (Tea | None, '{"value": null}', None),
        (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
    ],
)
async def test_an_answer_is_a_value_of_the_type(hint: Any, text: str, value: Any, anyio_backend: str) -> None:
    reply = await plays(text).complete("go", output=hint)

    assert reply.output == value
    assert type(reply.output) is type(value)
    assert reply.text == text


@pytest.mark.parametrize("hint", [Tea, Cup, Tree, list[int], Water | Milk])
def test_a_schema_has_an_object_at_its_root_with_nothing_else_allowed(hint: Any) -> None:
    schema = output_of(hint).schema.schema

    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


async def test_a_wrong_answer_is_told_what_is_wrong_and_asked_for_again(mesh: Mesh) -> None:
    model = ScriptedModel(['{"name": "sencha", "colour": "blue", "price": 1}', "no JSON", GREEN])
    agent = LlmAgent("tutor", model)
    mesh.add(agent)
    reply = await agent.complete("go", output=Tea)

    assert reply.output == Tea("sencha", Colour.GREEN, 4.5, dt.date(2026, 5, 1))
    assert reply.requests == 3
    assert "$.colour" in model.requests[1].turns[-1].text
    assert [turn.role for turn in reply.turns] == ["assistant"]  # the wrong ones are nobody's history


async def test_a_model_that_never_gets_it_right_is_an_error_with_its_last_words(mesh: Mesh) -> None:
    agent = plays(*["blue"] * 3)
    mesh.add(agent)
    with pytest.raises(OutputError) as caught:
        await agent.complete("go", output=Tea)

    assert (caught.value.output, caught.value.text, caught.value.tries) == ("Tea", "blue", DEFAULTS.output_retries + 1)


async def test_an_answer_that_was_cut_off_is_said_to_be(mesh: Mesh) -> None:
    model = ScriptedModel([Reply(text='{"name": "sen', finish="length"), GREEN])
    agent = LlmAgent("tutor", model)
    mesh.add(agent)
    await agent.complete("go", output=Tea)

    assert "cut off by its length limit" in model.requests[1].turns[-1].text


async def test_calls_come_before_the_answer_of_the_type(mesh: Mesh) -> None:
    @action
    async def price() -> float:
        """Look the price up."""
        return 4.5

    agent = LlmAgent("tutor", ScriptedModel([wants(ToolCall("1", "price")), GREEN]), tools=[price], output=Tea)
    mesh.add(agent)
    reply = await agent.complete("go")

    assert isinstance(reply.output, Tea)
    assert isinstance(await _ask_again(mesh, agent), Tea)


async def _ask_again(mesh: Mesh, agent: LlmAgent) -> Any:
    agent.with_model(ScriptedModel([GREEN]))
    return await mesh.ask("tutor", "go")


async def test_a_messages_own_reply_type_is_the_type_of_the_answer(mesh: Mesh) -> None:
    model = ScriptedModel(['{"words": "leaves"}', '{"words": 1}', "no", "no"])
    ref = mesh.add(LlmAgent("tutor", model))
    summary = await ref.ask(Topic("tea"))

    assert summary == Summary("leaves")
    assert model.requests[0].turns[-1].text == '{"$type":"test_outputs.Topic","title":"tea"}'
    with pytest.raises(HandlerError) as caught:
        await ref.ask(Topic("tea"))
    assert isinstance(caught.value.root, OutputError)


async def test_what_a_query_wants_comes_before_what_the_agent_is_set_to(anyio_backend: str) -> None:
    agent = plays('{"value": 3}', GREEN).with_output(int)

    assert (await agent.complete("go")).output == 3
    assert isinstance((await agent.complete("go", output=Tea)).output, Tea)


@pytest.mark.parametrize("hint", [complex, object(), type("Bare", (), {})])
async def test_what_has_no_schema_is_refused_before_the_model_is_asked(hint: Any, anyio_backend: str) -> None:
    with pytest.raises(DefinitionError, match="no JSON schema"):
        await plays("never").complete("go", output=hint)
    with pytest.raises(DefinitionError, match="no JSON schema"):
        plays("never", output=hint).build()


async def test_pydantics_models_are_types_too(anyio_backend: str) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Pot(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        size: int = pydantic.Field(gt=0)

    agent = plays('{"size": -1}', '{"size": 2}', '{"value": [{"size": 1}, {"size": 2}]}')

    assert (await agent.complete("go", output=Pot)).output == Pot(size=2)
    assert (await agent.complete("go", output=list[Pot])).output == [Pot(size=1), Pot(size=2)]
