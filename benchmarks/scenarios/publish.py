"""A message on a topic goes to a thousand subscribers; deliveries in a second, until all are handled."""

import asyncio
from dataclasses import dataclass

from benchmarks.contest import Run, Scenario

__all__ = ["publish"]

WIDTH = 1_000
publish = Scenario(name="publish", title="publish to 1,000 subscribers (deliveries)", size=200_000, quick=10_000)


@publish.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Put into a thousand queues, each with a task that serves it."""
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1_000) for _ in range(WIDTH)]
    count = 0

    async def serve(queue: asyncio.Queue[int]) -> None:
        nonlocal count
        while True:
            number = await queue.get()
            count += number
            queue.task_done()

    serving = [asyncio.create_task(serve(queue)) for queue in queues]
    for messages in run.passes(WIDTH):
        with run.timed(messages):
            for _ in range(messages // WIDTH):
                for queue in queues:
                    await queue.put(1)
                await asyncio.sleep(0)
            for queue in queues:
                await queue.join()
    assert count == run.total
    for task in serving:
        task.cancel()


@publish.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Publish, then drain."""
    from ceylon import Agent, Context, Mesh, on

    class Reader(Agent):
        """Counts what comes."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        @on(topic="news")
        async def news(self, message: int, context: Context) -> None:
            """Count it."""
            self.count += message

    async with Mesh() as mesh:
        readers = [Reader(f"reader-{number}") for number in range(WIDTH)]
        for reader in readers:
            mesh.add(reader)
        for messages in run.passes(WIDTH):
            with run.timed(messages):
                for _ in range(messages // WIDTH):
                    assert await mesh.publish("news", 1) == WIDTH
                await mesh.drain()
        assert mesh.statistics().is_balanced
    assert sum(reader.count for reader in readers) == run.total


@publish.contender("autogen-core", share=0.05)
async def autogen_core(run: Run) -> None:
    """Publish to a topic to which a thousand types of agents subscribe."""
    from autogen_core import (
        MessageContext,
        RoutedAgent,
        SingleThreadedAgentRuntime,
        TopicId,
        TypeSubscription,
        message_handler,
    )

    count = 0

    @dataclass
    class News:
        number: int

    class Reader(RoutedAgent):
        @message_handler
        async def news(self, message: News, ctx: MessageContext) -> None:
            nonlocal count
            count += message.number

    runtime = SingleThreadedAgentRuntime()
    for number in range(WIDTH):
        await Reader.register(runtime, f"reader-{number}", lambda: Reader("counts"))
        await runtime.add_subscription(TypeSubscription(topic_type="news", agent_type=f"reader-{number}"))
    for messages in run.passes(WIDTH):
        runtime.start()
        with run.timed(messages):
            for _ in range(messages // WIDTH):
                await runtime.publish_message(News(1), TopicId("news", "one"))
            await runtime.stop_when_idle()
    assert count == run.total


publish.without("everything-is-an-actor", "it has no topics")
publish.without("casty", "it has no topics")
