# ceylonai-next 0.1.2: what its README shows, without a loop.
import asyncio
import json

from ceylon.compat import Agent, FunctionalAction, LlmAgent, LlmConfig, PyLocalMesh


class EchoAgent(Agent):
    def on_message(self, message, context=None):
        return f"Echo: {message}"


class Relay(Agent):
    target = None

    def on_message(self, message, context=None):
        return self.target.send_message(f"relayed {message}")


mesh = PyLocalMesh("my_mesh")
agent = EchoAgent("echo")
relay = Relay("relay")
relay.target = agent
mesh.add_agent(agent)
mesh.add_agent(relay)
print(agent.name(), agent.last_response())
print(agent.send_message("Hello!"))
print(relay.send_message("twice"))
print(agent.last_response())
mesh.send_to("echo", "over the mesh")

calculator = Agent("calc")


@calculator.action(name="add", description="Add two numbers")
def add(a: int, b: int) -> int:
    return a + b


print(calculator.tool_invoker.invoke("add", '{"a": 5, "b": 3}'))
print(calculator.act("add", {"a": 1, "b": 2}))
try:
    calculator.tool_invoker.invoke("divide", "{}")
except RuntimeError:
    print("refused")

assistant = LlmAgent("assistant", "ollama::gemma3:latest")
assistant.with_system_prompt("You are a helpful assistant.")
assistant.with_temperature(0.7)
assistant.with_max_tokens(100)
assistant.build()
assistant.register_action(FunctionalAction(add, "add", "Add two numbers"))
response = assistant.send_message("Say two plus two")
print(response)
print(f"<{response}>", len(response), response == "you want: two plus two", json.dumps({"text": response}))

config = LlmConfig.builder().provider("ollama").model("gemma3:latest").build()
other = LlmAgent("other", "ollama::gemma3:latest")
other.build()


async def main():
    tasks = [other.send_message_async(f"Say {number}") for number in ("2+2", "3+3", "5+5")]
    for response in await asyncio.gather(*tasks):
        print(response)
    print(await other.query_async("Say goodbye"))


asyncio.run(main())
