"""The code of docs/guides/tools.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Any, Literal

from ceylon import (
    Agent,
    ApprovalDesk,
    ApprovalRequest,
    Approved,
    Context,
    Denied,
    LlmAgent,
    Mesh,
    TerminalApprover,
    action,
    on,
    trace_of,
)
from ceylon.errors import ApprovalDeniedError, MaxTurnsError


# --8<-- [start:own]
class Shop(LlmAgent):
    """Sells tea."""

    @action
    def stock(self, sort: Literal["assam", "sencha"]) -> int:
        """How many packets of a sort of tea are left.

        Args:
            sort: The sort.
        """
        return {"assam": 12, "sencha": 3}[sort]


# --8<-- [end:own]


# --8<-- [start:others]
def opening_hours(day: Literal["today", "tomorrow"]) -> str:
    """When the shop is open."""
    return "9 to 17" if day == "today" else "closed"


class Pricer(Agent):
    @action
    async def price(self, sort: Literal["assam", "sencha"]) -> float:
        """Return what a packet costs."""
        return {"assam": 2.5, "sencha": 4.0}[sort]


async def others(mesh: Mesh) -> None:
    pricer = mesh.add(Pricer("pricer"))
    poet = mesh.add(LlmAgent("poet", "auto", max_tokens=16, description="Writes a line about tea."))
    shop = Shop("shop", "auto", tools=[opening_hours, pricer, poet], max_tokens=64, max_turns=2)
    mesh.add(shop)
    # --8<-- [end:others]
    # --8<-- [start:choice]
    try:
        reply = await shop.complete("What does sencha cost?", tool_choice="price")
        for turn in reply.turns:
            print([call.name for call in turn.calls], [result.text for result in turn.results], turn.text)
    except MaxTurnsError as error:
        print(error)
    print(shop.calls)
    # --8<-- [end:choice]


async def react(mesh: Mesh) -> None:
    # --8<-- [start:react]
    shop = Shop("thinker", "auto", react=True, max_tokens=64, max_turns=3)
    mesh.add(shop)
    try:
        trace = trace_of(await shop.complete("How much sencha is left?"))
    except MaxTurnsError as error:
        print(error)
    else:
        for step in trace.steps:
            print(step.thought, step.action, step.arguments, step.observation, step.is_error)
        print(trace.answer, trace.finish)
    # --8<-- [end:react]


# --8<-- [start:effect]
class Post(LlmAgent):
    @action(effect=True)
    async def send(self, to: str, text: str) -> str:
        """Send a letter."""
        return f"sent to {to}"

    # --8<-- [end:effect]

    # --8<-- [start:approve]
    @action(effect=True, approve="operator")
    def pay(self, to: str, amount: int) -> str:
        """Pay somebody."""
        return f"{to} has got {amount}"


# --8<-- [end:approve]


# --8<-- [start:approver]
class Rule(Agent):
    @on
    async def decide(self, request: ApprovalRequest) -> Approved | Denied:
        return Approved() if request.arguments["amount"] <= 100 else Denied("more than 100")


# --8<-- [end:approver]


async def approvals(mesh: Mesh) -> None:
    mesh.add(Rule("operator"))
    post = mesh.add(Post("post", "auto"))
    # --8<-- [start:denied]
    print(await post.call("pay", to="Ada", amount=20))
    try:
        await post.call("pay", to="Ada", amount=500)
    except ApprovalDeniedError as error:
        print(error.reason)
    # --8<-- [end:denied]


async def terminal(mesh: Mesh) -> None:
    # --8<-- [start:terminal]
    mesh.add(TerminalApprover("operator"))
    # --8<-- [end:terminal]


async def desk(mesh: Mesh) -> None:
    # --8<-- [start:desk]
    desk = mesh.add(ApprovalDesk("operator"))
    post = mesh.add(Post("post", "auto"))
    paying = asyncio.create_task(post.call("pay", to="Ada", amount=20))

    requests: list[Any] = []
    while not requests:  # a page would show them, and somebody decide hours later
        requests = await desk.call("waiting")
    await desk.call("approve", digest=requests[0].digest)
    print(await paying)
    # --8<-- [end:desk]


# --8<-- [start:context]
class Clerk(LlmAgent):
    @action
    async def ask_boss(self, question: str, context: Context) -> str:
        """Ask the boss."""
        return str(await context.ask("boss", question))


# --8<-- [end:context]


async def main() -> None:
    for section in (others, react, approvals, terminal, desk):
        async with Mesh() as mesh:
            await section(mesh)


if __name__ == "__main__":
    asyncio.run(main())
