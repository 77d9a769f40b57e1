"""Ask a language model concurrently: gather, as_completed, batches, and what to do with errors.

    python examples/demo_async_llm.py [--model ollama::gemma3:latest] [--max-tokens 40]

Without `--model` it uses what is there: a running Ollama, a key in the environment, else the embedded model. That one
is tiny: its answers show that the road works, and nothing else.

How much faster concurrent queries are is the server's doing. One that computes on a single core has little to gain from
several at a time; one with a GPU, or with many machines behind its address, has much. Every figure is measured while
you watch.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from ceylon import LlmAgent, ModelError, Reply

QUESTIONS = [
    "Tell me a short story about a lighthouse.",
    "Explain how bread is made.",
    "Describe a rainy day in a small town.",
    "Explain why leaves turn red in autumn.",
    "Tell me a short story about two foxes.",
    "Explain how a bicycle stays upright.",
    "Describe a market in the morning.",
    "Explain what a river does to its valley.",
]
MIXED = ["Name a fruit.", "Describe a forest at night.", "What is 2+2?", "Explain how tea is grown."]
TOO_LONG = "tea " * 2_500  # 10,000 characters


async def main(model: str, max_tokens: int) -> None:
    """Run the four demos with one agent."""
    agent = LlmAgent("tutor", model, temperature=0.2, max_tokens=max_tokens).build()
    print(f"Loading the model {model!r} …")
    started = time.perf_counter()
    first = await agent.complete("Say hello.")
    print(f"{first.model} gave its first answer after {time.perf_counter() - started:.1f} s")

    await concurrent_queries(agent)
    await progressive_results(agent)
    await batches(agent)
    await error_handling(agent)


async def concurrent_queries(agent: LlmAgent) -> None:
    """Ask the same questions one after the other, then all at once."""
    heading("1. Concurrent queries: asyncio.gather")
    started = time.perf_counter()
    one_by_one = [await agent.complete(question) for question in QUESTIONS]
    sequential = time.perf_counter() - started
    report("one after the other", one_by_one, sequential)

    started = time.perf_counter()
    together = await asyncio.gather(*[agent.complete(question) for question in QUESTIONS])
    concurrent = time.perf_counter() - started
    report("asyncio.gather", together, concurrent)
    print(f"speed-up of concurrent over sequential: {sequential / concurrent:.2f} ×")
    if sequential < 1.2 * concurrent:
        print("(this server is at its limit with one query already; docs/guides/async.md says what to do about it)")

    for question, reply in zip(QUESTIONS, together, strict=True):
        show(question, reply)


async def progressive_results(agent: LlmAgent) -> None:
    """Take each answer as soon as it is there, whatever the order of the questions."""
    heading("2. Progressive results: asyncio.as_completed")
    started = time.perf_counter()
    for answered in asyncio.as_completed([ask(agent, question) for question in MIXED]):
        question, reply = await answered
        print(f"  after {time.perf_counter() - started:.1f} s")
        show(question, reply)


async def ask(agent: LlmAgent, question: str) -> tuple[str, Reply]:
    """Return the question with its answer, so that it is known which one came."""
    return question, await agent.complete(question)


async def batches(agent: LlmAgent) -> None:
    """Let no more than two questions be under way; the answers keep the order of the questions."""
    heading("3. Batches: send_messages_async(questions, concurrency=2)")
    started = time.perf_counter()

    def progress(done: int, total: int) -> None:
        print(f"  {done} of {total} answered after {time.perf_counter() - started:.1f} s")

    answers = await agent.send_messages_async(MIXED, concurrency=2, progress=progress)
    for question, answer in zip(MIXED, answers, strict=True):
        print(f"  {question}\n    {brief(answer)}")


async def error_handling(agent: LlmAgent) -> None:
    """Keep the good answers when some questions fail."""
    heading("4. Error handling: return_exceptions=True")
    questions = ["What is the sun?", "", TOO_LONG, "What is the moon?"]
    results = await asyncio.gather(*[agent.complete(question) for question in questions], return_exceptions=True)
    for question, result in zip(questions, results, strict=True):
        show(repr(question) if len(question) < 100 else f"{len(question):,} characters", result)
    failed = sum(isinstance(result, BaseException) for result in results)
    print(f"{len(results) - failed} answered, {failed} failed, none lost")


def heading(text: str) -> None:
    """Print *text* as the beginning of a section."""
    print(f"\n{text}\n{'-' * len(text)}")


def report(how: str, replies: Sequence[Reply], seconds: float) -> None:
    """Print what all answers of a run took together."""
    tokens = sum(reply.usage.output for reply in replies)
    print(f"{how:20} {len(replies)} answers, {tokens} tokens in {seconds:.2f} s: {tokens / seconds:.1f} tokens/s")


def show(question: str, result: Reply | BaseException) -> None:
    """Print a question and what became of it, with what the engine itself says of it."""
    if isinstance(result, BaseException):
        print(f"  {question}\n    {type(result).__name__}: {result}")
        return
    usage = f"{result.usage.input} tokens in, {result.usage.output} out"
    speed = "" if result.tokens_per_second is None else f", {result.tokens_per_second:.1f} tokens/s"
    print(f"  {question}\n    {brief(result.text)}\n    [{result.model}: {usage}{speed}]")


def brief(answer: str) -> str:
    """Return the beginning of *answer*, on one line."""
    line = " ".join(answer.split())
    return line if len(line) <= 100 else f"{line[:99]}…"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Four ways to ask a language model concurrently.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--max-tokens", type=int, default=40, help="the longest answer (40)")
    arguments = parser.parse_args()
    try:
        asyncio.run(main(arguments.model, arguments.max_tokens))
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
