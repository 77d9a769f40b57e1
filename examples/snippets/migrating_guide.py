"""The code of docs/guides/migrating-from-ceylonai-next.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Any

from ceylon import LlmAgent as NativeLlmAgent
from ceylon import Mesh, action
from ceylon.compat import Agent, LlmAgent, LocalMesh
from ceylon.testing import ScriptedModel


# --8<-- [start:program]
class Echo(Agent):
    def on_message(self, message: Any, context: Any = None) -> str:
        return f"echo: {message}"


def program() -> None:
    mesh = LocalMesh("office")
    mesh.add_agent(Echo("echo"))
    mesh.start()
    mesh.send_to("echo", "hello")
    mesh.process_messages()  # still there, and no longer needed
    print(mesh.query_sync("echo", "are you there?").response)  # never came back before
    # --8<-- [end:program]


def ask(model: Any) -> None:
    # --8<-- [start:meanings]
    agent = LlmAgent("assistant", model)
    agent.build()
    print(agent.send_message("What is 2+2?"))  # 0.1.2: blocks, and prints the text
    print(asyncio.run(agent.send_message("What is 3+3?")))  # 0.3.6: a coroutine

    async def together() -> None:
        print(await asyncio.gather(agent.send_message("one"), agent.send_message("two")))

    asyncio.run(together())
    # --8<-- [end:meanings]


def native_model() -> ScriptedModel:
    return ScriptedModel(["sunny"])


# --8<-- [start:native]
class Weather(NativeLlmAgent):
    @action
    def forecast(self, place: str) -> str:
        """Say what the weather will be in *place*."""
        return f"sunny in {place}"


async def native(model: Any) -> None:
    async with Mesh("office") as mesh:
        weather = mesh.add(Weather("weather", model, system_prompt="You are a helpful AI assistant."))
        print(await weather.ask("What will the weather be in Colombo?"))
        # --8<-- [end:native]


if __name__ == "__main__":
    program()
    ask(ScriptedModel(["4", "6", "1", "2"]))
    asyncio.run(native(native_model()))
