"""The code of docs/guides/budgets.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Any

import msgspec

from ceylon import Agent, Budget, Context, LlmAgent, Mesh, Reply, Usage
from ceylon.errors import BudgetError, ModelConfigError, ModelUnavailableError
from ceylon.settings import DEFAULTS
from ceylon.testing import ScriptedModel, Step


def answers(*texts: str) -> ScriptedModel:
    """Return a model that says these, each at the cost of 120 tokens."""
    return ScriptedModel([Reply(text=text, usage=Usage(input=100, output=20)) for text in texts])


class Researcher(Agent):
    async def on_message(self, question: str, context: Context) -> Any:
        for _ in range(3):
            await context.ask("tutor", question)
        return context.budget


async def refs() -> None:
    async with Mesh("school") as mesh:
        mesh.add(LlmAgent("tutor", answers("one", "two", "three"), max_tokens=100))
        researcher = mesh.add(Researcher("researcher"))
        # --8<-- [start:using]
        frugal = researcher.using(budget=Budget(tokens=10_000, calls=20, seconds=60))
        print(await frugal.ask("What is tea?"))
        # --8<-- [end:using]


async def verbs() -> None:
    agent = LlmAgent("tutor", answers("Leaves."), max_tokens=100)
    # --8<-- [start:verbs]
    try:
        print(await agent.send_message_async("What is tea?", budget=Budget(calls=1, tokens=1_000)))
        print(await agent.send_message_async("What is coffee?", budget=Budget(tokens=50)))
    except BudgetError as error:
        print(error)
        print(error.what, error.wanted, error.left, error.limit)
    # --8<-- [end:verbs]


# --8<-- [start:left]
class Careful(Agent):
    async def on_message(self, question: str, context: Context) -> Any:
        left = context.budget  # a Budget as well; None where nobody has set one
        if left is not None and left.calls is not None and left.calls < 2:
            return "I had better not begin."
        return await context.ask("tutor", question)


# --8<-- [end:left]


async def left() -> None:
    async with Mesh("school") as mesh:
        mesh.add(LlmAgent("tutor", answers("Leaves.")))
        careful = mesh.add(Careful("careful"))
        for calls in (1, 5):
            print(await careful.using(budget=Budget(calls=calls)).ask("What is tea?"))


async def dollars() -> None:
    # --8<-- [start:prices]
    agent = LlmAgent("tutor", answers("Leaves.", "Beans."), prices={"scripted::model": (0.40, 1.60)})
    reply = await agent.complete("What is tea?", budget=Budget(usd=0.10))
    print(reply.cost)
    # --8<-- [end:prices]
    unpriced = LlmAgent("tutor", answers("Leaves."))
    try:
        await unpriced.complete("What is tea?", budget=Budget(usd=0.10))
    except ModelConfigError as error:
        print(error)


async def spending() -> None:
    async with Mesh("school") as mesh:
        mesh.add(LlmAgent("tutor", answers("one", "two", "three")))
        await mesh.add(Researcher("researcher")).ask("What is tea?")
        # --8<-- [start:spending]
        spending = mesh.statistics().spending
        print(spending.total)
        print(spending.agents["tutor"])
        for message_id, spent in spending.runs.items():
            print(message_id, spent.requests, spent.cost)
        # --8<-- [end:spending]


async def priorities() -> None:
    async with Mesh("school") as mesh:
        mesh.add(LlmAgent("tutor", answers("Now.", "Later.")))
        # --8<-- [start:priority]
        tutor = mesh.ref("tutor")
        print(await tutor.using(priority="high").ask("A user waits: what is tea?"))
        await tutor.using(priority="low").tell("Nobody waits: summarize the archive.")
        # --8<-- [end:priority]
        await mesh.drain()


async def fallback() -> None:
    broken = ScriptedModel([ModelUnavailableError("scripted::broken", "anywhere", "It never does.")])
    other = ScriptedModel(["Leaves."], name="scripted::other")
    settings = msgspec.structs.replace(DEFAULTS, retry_tries=1)
    agent = LlmAgent("tutor", broken).with_fallback(other)
    async with Mesh(settings=settings) as mesh:
        mesh.add(agent)
        reply = await agent.complete("What is tea?")
        print(reply.text, "–", reply.model)


def models() -> None:
    # --8<-- [start:fallback]
    agent = LlmAgent("tutor", "ollama::gemma3", fallback=["vllm::Qwen/Qwen3-8B", "local::smollm2"])
    agent = LlmAgent("tutor", "ollama::gemma3").with_fallback("local::smollm2")
    # --8<-- [end:fallback]
    print(agent.build().model)
    # --8<-- [start:hedge]
    agent = LlmAgent("tutor", "ollama::gemma3", fallback=["vllm::Qwen/Qwen3-8B"], hedge=2.0)
    agent = LlmAgent("tutor", "ollama::gemma3").with_hedge("1500ms")  # the same model once more
    # --8<-- [end:hedge]
    print(agent.build().model)


async def hedging() -> None:
    slow = ScriptedModel([Step("Much later.", gate=asyncio.Event())], name="scripted::slow")
    quick = ScriptedModel(["Leaves."], name="scripted::quick")
    async with Mesh("school") as mesh:
        mesh.add(agent := LlmAgent("tutor", slow, fallback=quick, hedge="20ms"))
        reply = await agent.complete("What is tea?")
        print(reply.text, "–", reply.model)


async def patience() -> None:
    # --8<-- [start:settings]
    settings = msgspec.structs.replace(DEFAULTS, retry_tries=2, breaker_failures=3, budget_output=1_024)
    async with Mesh("school", settings=settings) as mesh:
        ...
    # --8<-- [end:settings]
    print(mesh)


async def main() -> None:
    for section in (refs, verbs, left, dollars, spending, priorities, fallback, hedging, patience):
        await section()
    models()


if __name__ == "__main__":
    asyncio.run(main())
