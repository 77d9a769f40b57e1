"""The code of docs/guides/language-models.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from ceylon import BlockingMesh, LlmAgent, Message, ModelUnavailableError
from ceylon.errors import ArgumentError, ModelConfigError
from ceylon.models.engine import find_smollm2
from ceylon.models.turns import ReplyPart, TextPart, ThinkingPart


def strings() -> None:
    # --8<-- [start:strings]
    LlmAgent("a", "ollama::gemma3:latest")
    LlmAgent("b", "openai::gpt-4.1-mini", api_key="sk-…")
    LlmAgent("c", "vllm::Qwen/Qwen3-8B", base_url="http://127.0.0.1:8000/v1")
    LlmAgent("d", "anthropic::claude-haiku-4-5")
    LlmAgent("e", "gemini::gemini-flash-latest")
    LlmAgent("f", "local::smollm2")
    LlmAgent("g", "auto")
    # --8<-- [end:strings]


def services() -> None:
    # --8<-- [start:services]
    LlmAgent("thinker", "anthropic::claude-sonnet-5", options={"thinking": {"type": "adaptive"}})
    LlmAgent("cached", "anthropic::claude-sonnet-5", options={"cache_control": {"type": "ephemeral"}})
    LlmAgent("quick", "gemini::gemini-2.5-flash", options={"thinkingConfig": {"thinkingBudget": 0}})
    LlmAgent("careful", "openai-responses::gpt-5", options={"reasoning": {"effort": "high"}})
    # --8<-- [end:services]


def gguf() -> None:
    with tempfile.TemporaryDirectory() as directory:
        weights = Path(shutil.copy(find_smollm2().path, Path(directory, "weights.gguf")))
        # --8<-- [start:gguf]
        agent = LlmAgent("tutor", f"local::{weights}", max_tokens=16)
        print(agent.send_message("What is tea?"))
        # --8<-- [end:gguf]


def fluent() -> None:
    # --8<-- [start:keywords]
    tutor = LlmAgent("tutor", "auto", system_prompt="Be concise.", max_tokens=16, seed=1)
    # --8<-- [end:keywords]
    print(tutor.send_message("What is tea?"))
    # --8<-- [start:fluent]
    tutor = LlmAgent("tutor", "auto")
    tutor.with_system_prompt("Be concise.").with_max_tokens(16).with_seed(1).build()
    # --8<-- [end:fluent]
    print(tutor.send_message("What is tea?"))


def mistakes() -> None:
    # --8<-- [start:mistakes]
    for agent in (
        LlmAgent("a", "auto", temperature=3.0),
        LlmAgent("b", "olama::gemma3:latest"),
        LlmAgent("c", "ollama::gemma3:latest", options={"topk": 5}),
    ):
        try:
            agent.build()
        except (ArgumentError, ModelConfigError) as error:
            print(error)
    # --8<-- [end:mistakes]


def options() -> None:
    # --8<-- [start:options]
    options = {"num_ctx": 8192, "top_k": 20, "keep_alive": "10m"}
    agent = LlmAgent("tutor", "ollama::gemma3:latest", options=options)
    # --8<-- [end:options]
    agent.build()


async def complete() -> None:
    agent = LlmAgent("tutor", "auto", max_tokens=16)
    # --8<-- [start:complete]
    reply = await agent.complete("What is tea?")
    print(reply.text)
    print(reply.model, reply.finish, reply.tokens_per_second)
    print(reply.usage.input, reply.usage.output)
    # --8<-- [end:complete]


async def streams() -> None:
    agent = LlmAgent("tutor", "auto", max_tokens=16)
    # --8<-- [start:streams]
    async for delta in agent.stream("Tell me a story."):  # text
        print(delta, end="")

    async for part in agent.parts("Tell me a story."):  # the whole reply comes last
        match part:
            case TextPart(text):
                print(text, end="")
            case ThinkingPart(text):
                print(f"({text})", end="")
            case ReplyPart(reply):
                print("\n", reply.usage)
    # --8<-- [end:streams]


def blocking_streams() -> None:
    agent = LlmAgent("tutor", "auto", max_tokens=16)
    # --8<-- [start:blocking]
    print(agent.send_message("What is tea?"))
    print(agent.send_messages(["Name a fruit.", "Name a tea."]))
    print(agent.blocking.complete("Name a tea.").usage)
    for delta in agent.blocking.stream("Tell me a story."):
        print(delta, end="")
    # --8<-- [end:blocking]


async def conversations() -> None:
    agent = LlmAgent("tutor", "auto", max_tokens=16)
    # --8<-- [start:conversations]
    alice = agent.conversation("alice")
    print(await alice.send("Hello, I am Alice."))
    async for delta in alice.stream("Who am I?"):
        print(delta, end="")
    for turn in await alice.history():
        print(turn.role, turn.text)
    await alice.clear()
    # --8<-- [end:conversations]


# --8<-- [start:prompt]
class Question(Message[str]):
    subject: str
    words: int


class Tutor(LlmAgent):
    def prompt(self, message: object) -> str:
        if isinstance(message, Question):
            return f"Explain {message.subject} in {message.words} words."
        return super().prompt(message)


# --8<-- [end:prompt]


def in_a_mesh() -> None:
    # --8<-- [start:mesh]
    with BlockingMesh("school") as mesh:
        tutor = mesh.add(Tutor("tutor", "auto", max_tokens=16))
        print(tutor.ask("What is tea?"))
        print(tutor.ask(Question("tea", words=10)))
        print(mesh.ask("tutor/alice", "Hello, I am Alice."))  # the conversation alice
    # --8<-- [end:mesh]


def unavailable() -> None:
    os.environ["OLLAMA_HOST"] = "127.0.0.1:9"  # nobody listens there
    # --8<-- [start:unavailable]
    agent = LlmAgent("tutor", "ollama::gemma3:latest", max_tokens=16)
    try:
        answer = agent.send_message("What is tea?")
    except ModelUnavailableError as error:
        print(error)
        answer = agent.with_model("local::smollm2").send_message("What is tea?")
    print(answer)
    # --8<-- [end:unavailable]


def main() -> None:
    """Run every section."""
    for section in (strings, services, gguf, fluent, mistakes, options, blocking_streams, in_a_mesh, unavailable):
        print("\n---", section.__name__)
        section()
    for awaited in (complete, streams, conversations):
        print("\n---", awaited.__name__)
        asyncio.run(awaited())


if __name__ == "__main__":
    main()
