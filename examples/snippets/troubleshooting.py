"""The code of docs/guides/troubleshooting.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import threading

from ceylon import Agent, BlockingCallError, BlockingContext, Context, HandlerError, LlmAgent, MailboxFullError, Mesh


# --8<-- [start:wrong]
class Wrong(Agent):
    def on_message(self, message: str) -> None:
        asyncio.get_running_loop()  # RuntimeError: no running event loop
        # --8<-- [end:wrong]


# --8<-- [start:right]
class Right(Agent):
    async def on_message(self, message: str, context: Context) -> None:
        context.start_soon(self.work, message)  # on the loop; ends with the agent

    async def work(self, message: str) -> None:
        print("working on", message)


class RightToo(Agent):
    def on_message(self, message: str, context: BlockingContext) -> None:
        context.tell("right", message)  # from the worker thread, and it may block

        # --8<-- [end:right]


async def no_running_event_loop() -> None:
    async with Mesh("office") as mesh:
        try:
            await mesh.add(Wrong("wrong")).ask("a report")
        except HandlerError as error:
            print(error)
        mesh.add(Right("right"))
        await mesh.add(RightToo("right-too")).ask("a report")
        await mesh.drain()


async def from_a_callback() -> None:
    # --8<-- [start:callback]
    async with Mesh("office") as mesh:
        mesh.add(Right("right"))

        def on_event(name: str) -> None:  # a library calls this from a thread of its own
            mesh.blocking.tell("right", name)

        await asyncio.to_thread(on_event, "an event")
        # --8<-- [end:callback]
        await mesh.drain()


async def blocking_verbs() -> None:
    # --8<-- [start:blocking]
    async with Mesh("office") as mesh:
        tutor = LlmAgent("tutor", "auto", max_tokens=16)
        mesh.add(tutor)
        try:
            tutor.send_message("What is tea?")  # would wait for the loop it stands on
        except BlockingCallError as error:
            print(error)
        print(await tutor.send_message_async("What is tea?"))
    # --8<-- [end:blocking]


class Archive(Agent):
    mailbox_capacity = 2

    async def on_message(self, message: int) -> None:
        await asyncio.sleep(0)


async def mailbox_full() -> None:
    # --8<-- [start:mailbox]
    async with Mesh("office") as mesh:
        archive = mesh.add(Archive("archive"))
        try:
            for number in range(100):
                archive.tell_nowait(number)
        except MailboxFullError as error:
            print(error)
        for number in range(100):
            await archive.tell(number)  # waits for room
    # --8<-- [end:mailbox]


class Printer(Agent):
    async def on_message(self, message: str, context: Context) -> str:
        return str(await context.ask("pricer", message, timeout=60))


class Pricer(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.may_answer = asyncio.Event()

    async def on_message(self, message: str) -> str:
        await self.may_answer.wait()
        return message


async def why_it_waits() -> None:
    async with Mesh("office") as mesh:
        pricer = Pricer("pricer")
        mesh.add(pricer)
        printer = mesh.add(Printer("printer"))
        first = asyncio.create_task(printer.ask("a report"))
        second = asyncio.create_task(printer.ask("a letter", timeout=2))
        await asyncio.sleep(0.1)
        # --8<-- [start:why]
        for message in mesh.ledger().open:
            print(mesh.why(message.message_id))
        # --8<-- [end:why]
        pricer.may_answer.set()
        await asyncio.gather(first, second)


async def main() -> None:
    """Run every section."""
    for section in (no_running_event_loop, from_a_callback, blocking_verbs, mailbox_full, why_it_waits):
        print("---", section.__name__, "in", threading.current_thread().name)
        await section()


if __name__ == "__main__":
    asyncio.run(main())
