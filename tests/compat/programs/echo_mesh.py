# ceylonai-next 0.3.6: agents written in Python, in a mesh with a processor.
import asyncio

from ceylon.compat import Agent, AsyncMessageProcessor, LocalMesh, get_metrics


class Echo(Agent):
    def __init__(self, name):
        super().__init__(name)
        self.received = []

    def on_message(self, message, context=None):
        self.received.append(message)
        return f"{self.name()}: {message}"


class SlowEcho(Echo):
    async def on_message(self, message, context=None):
        await asyncio.sleep(0.01)
        return super().on_message(message, context)


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def main():
    mesh = LocalMesh("office")
    echo, slow = Echo("echo"), SlowEcho("slow")
    mesh.add_agent(echo)
    mesh.add_agent(slow)
    mesh.start()

    async with AsyncMessageProcessor(mesh, interval_ms=10):
        for number in range(3):
            await mesh.send_to("echo", f"hello {number}")
            await mesh.send_to("slow", f"hello {number}")
        mesh.broadcast("to all", exclude="slow")
        await until(lambda: len(echo.received) == 4 and len(slow.received) == 3)

    print(echo.received)
    print(slow.received)
    print("direct:", echo.send_message("by hand"))
    print(echo.last_response(), slow.name())

    try:
        await mesh.send_to("nobody", "hello?")
    except RuntimeError:
        print("refused")

    metrics = get_metrics()
    print(sorted(metrics))
    print("messages:", metrics["message_throughput"], "errors:", metrics["errors"])


asyncio.run(main())
