"""Actions of `ceylonai-next`: made in each way its programs make them, invoked by name, offered to a model."""

import asyncio
import enum
import json
from typing import Any, Self

import pytest

from ceylon.compat import Agent, FunctionalAction, LlmAgent, PyAction, PyAgentContext, PyToolInvoker, _PyAction
from ceylon.compat.schemas import schema_of
from ceylon.models.turns import Request, ToolCall
from ceylon.testing import ScriptedModel


class Colour(enum.Enum):
    RED = "red"


def add(a: int, b: int = 2) -> int:
    return a + b


def facts_of(action: _PyAction) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(action.metadata())
    return facts


def invoker(*actions: _PyAction) -> PyToolInvoker:
    made = PyToolInvoker()
    for each in actions:
        made.register(each)
    return made


def _made(kind: Any) -> _PyAction:
    """Make an action that names itself in `__init__`, which no type checker understands."""
    action: _PyAction = kind()
    return action


# -- how they are made -------------------------------------------------------------------------------------------------


class ByNew(PyAction):
    def __new__(cls) -> Self:
        return super().__new__(cls, "by_new", "One")

    def execute(self, context: Any, inputs: Any) -> str:
        return f"{context.mesh_name} {inputs}"


class ByInit(PyAction):
    def __init__(self) -> None:
        super().__init__("by_init", "Two")


class WithMore(PyAction):
    def __new__(cls, more: str) -> Self:
        made = super().__new__(cls, "with_more", "Three")
        made.more = more
        return made

    more: str


class Passing(PyAction):
    def __init__(self, name: str, description: str) -> None:
        super().__init__()
        self.title = name + description


class Wrapping(FunctionalAction):
    def __init__(self) -> None:
        super().__init__(add, "wrapping", "Add.")


def test_an_action_may_name_itself_in_new_or_in_init() -> None:
    made = [
        ByNew(),
        _made(ByInit),
        WithMore("m"),
        Passing("passing", "Four"),
        _made(Wrapping),
        PyAction("plain", "Five"),
    ]

    assert [facts_of(each)["name"] for each in made] == [
        *("by_new", "by_init", "with_more", "passing", "wrapping", "plain")
    ]
    assert facts_of(_made(Wrapping))["input_schema"]["required"] == ["a"]


def test_an_action_without_a_name_says_how_to_give_it_one() -> None:
    class Nameless(PyAction):
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match=r"call super\(\).__init__\(name, description\)"):
        _made(Nameless).metadata()


def test_the_metadata_of_a_function_is_what_the_origin_writes() -> None:
    assert facts_of(FunctionalAction(add, "add", "Add.")) == {
        "name": "add",
        "description": "Add.",
        "input_schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a"],
        },
        "output_schema": None,
    }


def test_a_schema_tells_more_where_the_origin_says_string_and_nothing_of_the_context() -> None:
    def search(  # type: ignore[no-untyped-def]
        words: "list[str]",
        near: bool,  # noqa: FBT001 – as programs write it
        most: int | None = None,
        colour: Colour = Colour.RED,
        more=None,  # noqa: ANN001 – as above
        context=None,  # noqa: ANN001 – as above
    ) -> None: ...

    assert schema_of(search) == {
        "type": "object",
        "properties": {
            "words": {"type": "array", "items": {"type": "string"}},
            "near": {"type": "boolean"},
            "most": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "colour": {"type": "string"},
            "more": {"type": "string"},
        },
        "required": ["words", "near"],
    }


def test_a_parameter_of_a_type_that_is_not_there_is_a_string() -> None:
    def search(words: "Elsewhere", most: int) -> None: ...  # type: ignore[name-defined] # noqa: F821 – that is the point

    assert schema_of(search)["properties"] == {"words": {"type": "string"}, "most": {"type": "integer"}}


@pytest.mark.parametrize("schema", ["no json", "{"])
def test_a_schema_that_is_no_json_is_refused_at_once(schema: str) -> None:
    with pytest.raises(ValueError, match="input_schema is not JSON"):
        _PyAction("name", "description", schema)


# -- by name -----------------------------------------------------------------------------------------------------------


def test_the_result_of_an_action_is_its_text_as_json() -> None:
    actions = invoker(FunctionalAction(add, "add", "Add."), ByNew(), PyAction("nothing", "Do nothing."))

    assert actions.invoke("add", '{"a": 5, "b": 3, "unknown": 1}') == '"8"'
    assert actions.invoke("by_new", '{"x": "é"}') == "\"system {'x': 'é'}\""
    assert actions.invoke("nothing", "{}") == '"None"'
    assert list(actions.actions) == ["add", "by_new", "nothing"]


def test_an_action_of_a_known_name_takes_the_others_place() -> None:
    actions = invoker(FunctionalAction(add, "add", "Add."), FunctionalAction(lambda: "new", "add", "Other."))

    assert actions.invoke("add", "{}") == '"new"'


def test_a_parameter_called_context_is_given_the_context() -> None:
    def where(context: PyAgentContext) -> str:
        return context.mesh_name

    action = FunctionalAction(where, "where", "Say where.")

    assert invoker(action).invoke("where", '{"context": "mine"}') == '"system"'
    assert action.execute(PyAgentContext("here"), {}) == "here"


def test_an_async_action_is_waited_for_with_a_loop_running_or_not() -> None:
    async def slow(word: str) -> str:
        await asyncio.sleep(0)
        return word * 2

    actions = invoker(FunctionalAction(slow, "slow", "Double."))

    async def inside() -> str:
        return actions.invoke("slow", '{"word": "ab"}')

    assert actions.invoke("slow", '{"word": "ab"}') == '"abab"'
    assert asyncio.run(inside()) == '"abab"'


def test_an_async_action_cannot_be_waited_for_by_the_loop_that_would_run_it() -> None:
    async def other() -> str:
        return "never"

    async def calling() -> str:
        return actions.invoke("other", "{}")

    actions = invoker(FunctionalAction(other, "other", "Other."), FunctionalAction(calling, "calling", "Call."))

    with pytest.raises(RuntimeError, match="BlockingCallError"):
        actions.invoke("calling", "{}")


def test_what_goes_wrong_is_a_runtime_error_that_names_it() -> None:
    def fail() -> None:
        raise KeyError("lost")

    actions = invoker(FunctionalAction(add, "add", "Add."), FunctionalAction(fail, "fail", "Fail."))

    with pytest.raises(RuntimeError, match="no action 'ad'; did you mean 'add'"):
        actions.invoke("ad", "{}")
    with pytest.raises(RuntimeError, match="Action execution failed: KeyError: 'lost'") as caught:
        actions.invoke("fail", "{}")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(RuntimeError, match="missing 1 required positional argument: 'a'"):
        actions.invoke("add", "{}")
    with pytest.raises(ValueError, match="inputs is not JSON"):
        actions.invoke("add", "a=1")
    with pytest.raises(TypeError, match="takes text"):
        actions.invoke("add", {"a": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no action; wrap a function"):
        actions.register(add)  # type: ignore[arg-type]


def test_an_agent_acts_by_what_its_decorator_registered() -> None:
    agent = Agent("calculator")

    @agent.action(description="Multiply.")
    def multiply(a: int, b: int) -> int:
        return a * b

    assert agent.act("multiply", {"a": 6, "b": 7}) == '"42"'
    assert multiply(2, 3) == 6


# -- by a model --------------------------------------------------------------------------------------------------------


def test_a_model_is_told_each_schema_and_its_calls_run() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Any:
        seen.append(request)
        results = request.turns[-1].results
        if results:
            return " ".join(f"{each.name}={each.text}" for each in results)
        calls: dict[str, dict[str, Any]] = {"add": {"a": 5}, "by_new": {"k": 1}, "later": {"word": "x"}, "wrong": {}}
        return [ToolCall(name, name, arguments) for name, arguments in calls.items()]

    agent = LlmAgent("assistant", ScriptedModel([answer, answer]))
    agent.register_action(FunctionalAction(add, "add", "Add.")).register_action(ByNew())

    @agent.action(description="Come later.")
    async def later(word: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"word": word}

    @agent.action()
    def wrong() -> None:
        """Always fail."""
        raise ValueError("never")

    agent.build()
    said = str(agent.send_message("go"))

    assert said == 'add=7 by_new=default {\'k\': 1} later={"word":"x"} wrong=ValueError: never'
    told = {tool.name: (tool.description, tool.parameters) for tool in seen[0].tools}
    assert told["wrong"] == ("Always fail.", {"type": "object", "properties": {}})
    assert told["add"][1] == schema_of(add)
    assert told["by_new"][1] == {"type": "object", "properties": {}}
