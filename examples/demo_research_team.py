"""A team: a lead asks a researcher, who searches notes; then a writer takes the conversation over and answers.

    python examples/demo_research_team.py [--model ollama::gemma3:latest]

An agent that is a tool answers the lead, which goes on. An agent that is handed the conversation answers the user,
until it hands back. Everything that happens, however deep, arrives in one stream, and what it cost is summed once. A
budget holds for all of them together: with one request to spend, the lead has it, and the researcher is refused.
The first request of each question says what has to be called, so that the road is the same with every model.
"""

import argparse
import asyncio
import sys
from typing import Any, Literal

from ceylon import (
    AgentPart,
    Budget,
    BudgetError,
    HandoffPart,
    LlmAgent,
    Mesh,
    ModelError,
    Part,
    ReplyPart,
    ToolCallPart,
    ToolResultPart,
    UsagePart,
)
from ceylon.errors import MaxTurnsError

PLENTY = Budget(calls=20, tokens=50_000, seconds=120)  # of the whole team, for one question

NOTES = {
    "tea": "Ceylon tea grows on Sri Lanka, at up to 2,400 metres. Most of it is black tea.",
    "coffee": "Coffee was grown on Ceylon until a fungus destroyed the plants around 1870.",
    "rain": "The monsoon brings rain to the south-west from May to September.",
}


def search(topic: Literal["tea", "coffee", "rain"]) -> str:
    """Return what the notes say about a topic."""
    return NOTES[topic]


async def research(model: Any) -> None:
    """Let the team answer one question, and say who has done what."""
    async with Mesh("team") as mesh:
        researcher = LlmAgent(
            "researcher", model, tools=[search], tool_choice="search", max_tokens=64, max_turns=3,
            description="Looks things up in the notes.",
        )  # fmt: skip
        writer = LlmAgent(
            "writer", model, system_prompt="Write one sentence for the user.", max_tokens=48,
            description="Writes the answer for the user.",
        )  # fmt: skip
        mesh.add(researcher)
        mesh.add(writer)
        lead = LlmAgent("lead", model, tools=[researcher], handoffs=[writer], max_tokens=64, max_turns=2)
        mesh.add(lead)

        print("Research", flush=True)
        await show(lead, "What grows on Ceylon? Ask the researcher.", "researcher")
        print("\nHandoff")
        await show(lead, "Let the writer tell me about tea.", "transfer_to_writer")
        print("\nBudget")
        await show(lead, "When does it rain? Ask the researcher.", "researcher", Budget(calls=1))
        print("\nCounted")
        for name, counted in mesh.statistics().agents.items():
            print(f"  {name}: {counted.completed} messages")


async def show(lead: LlmAgent, question: str, first: str, budget: Budget = PLENTY) -> None:
    """Ask *question* and print every part but the text, with the way it came."""
    try:
        async for part in lead.parts(question, tool_choice=first, budget=budget):
            line = described(part)
            if line:
                print(f"  {line}")
    except (BudgetError, MaxTurnsError) as error:  # a tiny model may not know when it has called enough
        print(f"  {error}")


def described(part: Part) -> str:
    """Return one line about *part*; nothing about a piece of text."""
    line = ""
    match part:
        case AgentPart(agent, _, inner) if described(inner):
            line = f"{agent} > {described(inner)}"
        case ToolCallPart(call):
            line = f"calls {call.name}"
        case ToolResultPart(result):
            line = f"result of {result.name}: {' '.join(result.text.split())[:60]}"
        case HandoffPart(agent, _):
            line = f"the conversation goes on with {agent}"
        case UsagePart(usage):
            line = f"{usage.output} tokens"
        case ReplyPart(reply):
            line = f"answer by {reply.agent or 'lead'}, {reply.requests} requests: {' '.join(reply.text.split())[:60]}"
    return line


def main(model: Any) -> None:
    """Run the team."""
    asyncio.run(research(model))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A team of agents.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
