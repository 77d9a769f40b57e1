"""What a model invents as arguments: only what the schema describes reaches a function, and the model is told why."""

import copy
import os
import random
import string
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from msgspec import Meta

from ceylon import LlmAgent, Mesh
from ceylon.agents.action import as_action
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, Request, ToolCall
from ceylon.settings import DEFAULTS
from support.signatures import Case, cases

FACTOR: Final = int(os.environ.get("CEYLON_FUZZ", "1"))  # 20: 20,000 values, 5,000 signatures
BATCH: Final = 32  # calls of one answer
MOST_WORDS: Final = 2 * 1024  # bytes of an error that a model is told


class Line(msgspec.Struct):
    """A line of an order."""

    sku: str
    quantity: Annotated[int, Meta(ge=1, le=9)] = 1


Record = Callable[[], None]


def functions(record: Record) -> list[Callable[..., str]]:
    """Return functions of many shapes; each records that it runs."""

    def order(lines: list[Line], note: str | None = None) -> str:
        """Order."""
        record()
        return "ordered"

    def paint(colour: Literal["green", "black"], coats: int = 1) -> str:
        """Paint."""
        record()
        return "painted"

    def measure(height: float, labels: dict[str, int]) -> str:
        """Measure."""
        record()
        return "measured"

    def name(text: Annotated[str, Meta(min_length=1, max_length=5)], is_new: bool) -> str:  # noqa: FBT001 – as a model sees it
        """Name."""
        record()
        return "named"

    return [order, paint, measure, name]


VALID: Final[dict[str, dict[str, Any]]] = {
    "order": {"lines": [{"sku": "assam", "quantity": 2}, {"sku": "oolong"}], "note": None},
    "paint": {"colour": "green", "coats": 2},
    "measure": {"height": 1.5, "labels": {"a": 1}},
    "name": {"text": "tea", "is_new": True},
}
ODD: Final = (None, True, 0, -1, 10**30, 1.5, 1e308, "", "x" * 9, "1", "true", "\x00\u2028\U0001f600", "x" * 5_000)


def odd(chance: random.Random, depth: int = 2) -> Any:
    """Return anything that JSON can say."""
    if depth and chance.random() < 0.3:
        if chance.random() < 0.5:
            return [odd(chance, depth - 1) for _ in range(chance.randrange(3))]
        return {chance.choice(["sku", "a", "", "é"]): odd(chance, depth - 1) for _ in range(chance.randrange(3))}
    return chance.choice(ODD)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in *value*: what holds it, and under which key."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def mutated(arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return *arguments* with one to three places changed, left out, added or renamed."""
    changed = copy.deepcopy(arguments)
    for _ in range(chance.randint(1, 3)):
        found = list(places(changed))
        holder, key = chance.choice(found) if found else (changed, "more")
        match chance.choice(["replace", "replace", "drop", "add", "rename"]):
            case "drop" if found:
                del holder[key]
            case "add":
                changed["".join(chance.choices(string.ascii_lowercase, k=3))] = odd(chance)
            case "rename" if isinstance(holder, dict) and found:
                holder[f"{key} "] = holder.pop(key)
            case _:
                holder[key] = odd(chance)
    return changed


async def fuzz(seed: int) -> tuple[int, int]:
    """Let a model make a batch of calls; return how many were described by their schema, and how many ran."""
    chance = random.Random(seed)  # noqa: S311 – repeatable is the point
    ran: list[None] = []
    tools = functions(lambda: ran.append(None))
    names = [chance.choice(sorted(VALID)) for _ in range(BATCH)]
    calls = tuple(ToolCall(str(at), name, mutated(VALID[name], chance)) for at, name in enumerate(names))
    asked: list[Request] = []

    def close(request: Request) -> str:
        asked.append(request)
        return "done"

    async with Mesh() as mesh:
        model = ScriptedModel([Reply(text="", calls=calls, finish="tool"), close])
        mesh.add(agent := LlmAgent("clerk", model, tools=tools))
        assert await agent.send_message_async("go") == "done"
    schemas = {tool.name: Draft202012Validator(tool.parameters) for tool in asked[0].tools}
    results = {result.id: result for turn in asked[0].turns for result in turn.results}
    right = 0
    for call in calls:
        result, is_right = results[call.id], schemas[call.name].is_valid(call.arguments)
        right += is_right
        assert is_right or result.is_error, (seed, call)
        assert len(result.text.encode()) <= MOST_WORDS, (seed, call)
    assert len(ran) == sum(not result.is_error for result in results.values())
    return right, len(ran)


@pytest.mark.parametrize("values", [1_024 * FACTOR])
async def test_arguments_that_the_schema_does_not_describe_are_told_and_never_run(
    values: int, anyio_backend: str
) -> None:
    if anyio_backend == "trio":
        return  # arguments are no affair of the loop
    right = ran = 0
    for seed in range(values // BATCH):
        more_right, more_ran = await fuzz(seed)
        right, ran = right + more_right, ran + more_ran
    assert ran <= right
    assert 0 < ran < values


async def test_a_toolbox_that_checks_nothing_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draft202012Validator, "is_valid", lambda self, value: False)  # as if nothing were described

    with pytest.raises(AssertionError):
        for seed in range(8):
            await fuzz(seed)


@settings(
    max_examples=250 * FACTOR, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(cases())
def test_signatures_by_the_thousand_have_valid_schemas(case: Case) -> None:
    Draft202012Validator.check_schema(as_action(case.function).schema)


def test_the_limit_of_an_error_is_the_one_that_is_promised() -> None:
    assert DEFAULTS.action_error <= MOST_WORDS
