"""What the tests of cassettes share: runs at random, and models that must not be opened."""

import random
from typing import Any, NoReturn

import anyio
import anyio.lowlevel

from ceylon import Agent, Context, LlmAgent, Mesh
from ceylon.errors import IncompleteStreamError, ModelRateLimitError, ModelStatusError, ModelTimeoutError, describe
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, Request, TextPart, ThinkingPart, ToolCall, ToolResultPart, Usage
from ceylon.settings import Settings
from support.llm import impatient

__all__ = ["ForbiddenModel", "Run", "transcript"]

ONCE = impatient(retry_tries=1, breaker_failures=1_000_000)
"""Each request is made once, and no failure is followed by a pause."""

_PATIENCE = 3_600.0  # longer than any pause: nobody here is to give up

_TEXTS = (
    "tea",
    "two\nlines\n",
    " leading",
    "",
    "key: value",
    "- item",
    "“quoted”",
    "naïve\u2028x",
    "{}",
    "1e3",
    "yes",
    "é\x07",
)


class ForbiddenModel:
    """Has a name and nothing else: opening it fails the test."""

    def __init__(self, name: str = "scripted::model") -> None:
        self.name = name

    def check(self) -> NoReturn:
        raise AssertionError("a replay checked the real model: it would need a key")

    async def open(self, client: Any) -> NoReturn:
        raise AssertionError("a replay opened the real model")


def answer(request: Request) -> Any:
    """Return what a model says to *request*, in all the ways there are; the same for the same request."""
    chance = random.Random(repr(request.turns))  # noqa: S311 – repeatable is the point
    text = "".join(chance.choices(_TEXTS, k=3))
    calls = tuple(
        ToolCall(f"call-{each}", "stock", {"sku": chance.choice(_TEXTS), "deep": [1, None, {"a": 0.1}]})
        for each in range(2)
    )
    usage = Usage(input=chance.randrange(99), output=3, reasoning=1)
    return chance.choice(
        [
            text,
            Reply(text=text, thinking="hm\n", usage=usage, model="m", cost=0.25, tokens_per_second=12.5),
            Reply(text="", calls=calls, finish="tool", usage=usage),
            [ThinkingPart("hm"), TextPart(text or "x"), TextPart("y")],
            ModelRateLimitError("m", 429, text, retry_after=chance.choice([None, 0.0])),
            ModelRateLimitError("m", 429, text, retry_after=chance.choice([2.0, 1e9])),
            ModelTimeoutError("m", chance.choice([3.0, 30.0])),
            ModelStatusError("m", 503, text),
            IncompleteStreamError("m", text),
            ValueError(text),
        ]
    )


async def stock(sku: str, deep: Any) -> str:
    """Say how much is left."""
    await anyio.lowlevel.checkpoint()
    return f"{len(sku)} of {sku}, {deep}"


class Reader(Agent):
    """Asks the model something that nobody can know beforehand."""

    async def on_message(self, message: str, context: Context) -> Any:
        question = f"{message} at {context.now} by {context.random.random()} and {context.random.randrange(1 << 70)}"
        return await context.ask("tutor", question)


class Run:
    """A program made of chance: so many queries of several kinds, some at one time."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 – repeatable is the point
        self.steps = [
            [
                (chance.choice(["ask", "stream", "chat", "read"]), f"{chance.choice(_TEXTS)} {at}{each}")
                for each in range(chance.randint(1, 4))
            ]
            for at in range(chance.randint(1, 4))
        ]
        self.settings: dict[str, Any] = {
            "temperature": chance.choice([None, 0.5]),
            "system_prompt": chance.choice([None, "Be brief."]),
        }

    async def play(self, model: Any, settings: Settings) -> list[Any]:
        """Return everything that was answered."""
        heard: list[Any] = []
        async with Mesh("market", settings=settings) as mesh:
            agent = LlmAgent("tutor", model, tools=[stock], **self.settings)
            mesh.add(agent)
            readers = [mesh.add(Reader(f"reader{number}")) for number in range(4)]
            for step in self.steps:
                answers: list[Any] = [None] * len(step)

                async def take(place: int, kind: str, words: str, answers: list[Any] = answers) -> None:
                    answers[place] = await _outcome(agent, readers[place], kind, words)

                async with anyio.create_task_group() as group:
                    for place, (kind, words) in enumerate(step):
                        group.start_soon(take, place, kind, words)
                heard.append(answers)
        return heard


async def _outcome(agent: LlmAgent, reader: Any, kind: str, words: str) -> Any:
    """Return what came, or what was raised."""
    parts: list[Any] = []
    try:
        if kind == "ask":
            return await agent.complete(words)
        if kind == "chat":
            return await agent.conversation(reader.address).send(words)  # each its own: their order is chance
        if kind == "read":
            return await reader.ask(words, timeout=_PATIENCE)
        async for part in agent.parts(words):
            parts.append(part)  # noqa: PERF401 – what came before an error counts
    except Exception as error:  # noqa: BLE001 – it is what came
        root = getattr(error, "root", error)
        return [*_in_order(parts), describe(root), dict(vars(root))]
    return _in_order(parts)


def _in_order(parts: list[Any]) -> list[Any]:
    """Return *parts* with the results of calls by their call: which of two comes first is the loop's business."""
    results = iter(sorted((each for each in parts if isinstance(each, ToolResultPart)), key=_place))
    return [next(results) if isinstance(each, ToolResultPart) else each for each in parts]


def _place(part: ToolResultPart) -> str:
    return part.result.id


async def transcript(seed: int, model: Any = None, settings: Settings = ONCE) -> list[Any]:
    """Return what the run *seed* heard from *model*, by default from one that says something to everything."""
    return await Run(seed).play(ScriptedModel([answer] * 1_000) if model is None else model, settings)
