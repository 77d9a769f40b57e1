"""One sender tells one agent; its async handler counts. Timed until everything has been handled."""

import asyncio

from benchmarks.contest import Run, Scenario

__all__ = ["tell"]

tell = Scenario(name="tell", title="tell", size=200_000, quick=20_000, rounds=5)


@tell.contender("bare asyncio")
async def bare(run: Run) -> None:
    """Put into a bounded queue, as large as Ceylon's mailbox, that one task serves."""
    count = 0

    async def handle(message: int) -> None:
        nonlocal count
        count += message

    async def serve() -> None:
        while True:
            await handle(await queue.get())
            queue.task_done()

    queue: asyncio.Queue[int] = asyncio.Queue(1_000)
    serving = asyncio.create_task(serve())
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                await queue.put(1)
            await queue.join()
    assert count == run.total
    serving.cancel()


@tell.contender("ceylon")
async def ceylon(run: Run) -> None:
    """Tell, then drain."""
    from ceylon import Agent, Context, Mesh

    class Counter(Agent):
        """Counts."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.count = 0

        async def on_message(self, message: int, context: Context) -> None:
            """Count it."""
            self.count += message

    async with Mesh() as mesh:
        counter = Counter("counter")
        ref = mesh.add(counter)
        for messages in run.passes():
            with run.timed(messages):
                for _ in range(messages):
                    await ref.tell(1)
                await mesh.drain()
        assert mesh.statistics().is_balanced
    assert counter.count == run.total


@tell.contender("pykka")
def pykka(run: Run) -> None:
    """Tell; the ask behind the last one shows that all are done."""
    import pykka as library

    class Counter(library.ThreadingActor):
        count = 0

        def on_receive(self, message: int) -> int:
            self.count += message
            return self.count

    ref = Counter.start()
    done = 0
    for messages in run.passes():
        with run.timed(messages):
            for _ in range(messages):
                ref.tell(1)
            done = ref.ask(0)
    ref.stop()
    assert done == run.total
