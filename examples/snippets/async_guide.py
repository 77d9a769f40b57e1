"""The code of docs/guides/async.md: every section is a function, and all of them run."""
# ruff: noqa: D103 – a snippet is documented by the page it stands in

import asyncio
import tempfile
from pathlib import Path

from ceylon import IncompleteStreamError, LlmAgent, Mesh, ModelError, ModelUnavailableError

# --8<-- [start:agent]
agent = LlmAgent("tutor", "auto", max_tokens=16)
questions = ["Name a fruit.", "What is 2+2?", "What is tea?"]
# --8<-- [end:agent]


async def gather() -> None:
    # --8<-- [start:gather]
    queries = [agent.send_message_async(question) for question in questions]
    answers = await asyncio.gather(*queries)
    # --8<-- [end:gather]
    print(answers)


async def task_group() -> None:
    # --8<-- [start:task_group]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(agent.send_message_async(each)) for each in questions]
    answers = [task.result() for task in tasks]
    # --8<-- [end:task_group]
    print(answers)


async def as_completed() -> None:
    # --8<-- [start:as_completed]
    async def ask(question: str) -> tuple[str, str]:
        return question, await agent.send_message_async(question)

    for answered in asyncio.as_completed([ask(question) for question in questions]):
        question, answer = await answered
        print(question, answer)
    # --8<-- [end:as_completed]


async def answers_as_they_come() -> None:
    # --8<-- [start:answers]
    async for answer in agent.as_completed(questions, concurrency=2):
        if answer.error is None:
            print(answer.index, answer.text, answer.usage.output)
        else:
            print(answer.index, "failed:", answer.error)
    # --8<-- [end:answers]


async def batch() -> None:
    # --8<-- [start:batch]
    answers = await agent.send_messages_async(questions, concurrency=4)
    # --8<-- [end:batch]
    print(answers)


async def progress() -> None:
    # --8<-- [start:progress]
    def show(done: int, total: int) -> None:
        print(f"{done} of {total}")

    await agent.send_messages_async(questions, progress=show)
    # --8<-- [end:progress]


async def resume() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "answers.jsonl")
        # --8<-- [start:resume]
        answers = await agent.send_messages_async(questions, resume=path)
        again = await agent.send_messages_async(questions, resume=path)  # asks nothing
        print(answers == again)
        # --8<-- [end:resume]


async def errors() -> None:
    # --8<-- [start:errors]
    asked = ["What is the sun?", "", "What is the moon?"]
    queries = [agent.send_message_async(question) for question in asked]
    results = await asyncio.gather(*queries, return_exceptions=True)
    for question, result in zip(asked, results, strict=True):
        if isinstance(result, BaseException):
            print(f"{question!r} failed: {result}")
        else:
            print(f"{question!r}: {result}")
    # --8<-- [end:errors]


async def one_error() -> None:
    # --8<-- [start:one_error]
    try:
        answer = await agent.send_message_async("What is tea?", timeout=60)
    except ModelUnavailableError as error:
        print(error.address, error.advice)
    except IncompleteStreamError as error:
        print("what came:", error.text)
    except (ModelError, TimeoutError) as error:
        print(error)
    else:
        print(answer)
    # --8<-- [end:one_error]


async def cancelling() -> None:
    # --8<-- [start:cancelling]
    try:
        async with asyncio.timeout(0.01):
            await agent.send_message_async("Tell me a long story.")
    except TimeoutError:
        print("given up: the request to the model is closed")
    # --8<-- [end:cancelling]


async def streams() -> None:
    # --8<-- [start:streams]
    async with agent.stream("Tell me a story.") as deltas:
        async for delta in deltas:
            print(delta, end="")
        reply = await deltas.result()
    print("\n", reply.usage, reply.tokens_per_second)
    # --8<-- [end:streams]


async def concurrency() -> None:
    # --8<-- [start:concurrency]
    many = LlmAgent("many", "auto", max_tokens=16, concurrency=4)
    queries = [many.send_message_async(question) for question in questions * 4]
    answers = await asyncio.gather(*queries)  # four at a time
    # --8<-- [end:concurrency]
    print(len(answers))


async def own_mesh() -> None:
    # --8<-- [start:own_mesh]
    async with Mesh("study") as mesh:
        tutor = mesh.add(LlmAgent("tutor", "auto", max_tokens=16))
        print(await tutor.ask("What is tea?"))
    # --8<-- [end:own_mesh]


async def usage() -> None:
    # --8<-- [start:usage]
    tokens = [answer.usage.output async for answer in agent.as_completed(questions)]
    print(sum(tokens), "tokens")
    # --8<-- [end:usage]


async def main() -> None:
    """Run every section."""
    for section in (gather, task_group, as_completed, answers_as_they_come, batch, progress, resume, errors):
        print("---", section.__name__)
        await section()
    for section in (one_error, cancelling, streams, concurrency, own_mesh, usage):
        print("---", section.__name__)
        await section()


if __name__ == "__main__":
    asyncio.run(main())
