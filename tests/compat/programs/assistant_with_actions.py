# ceylonai-next 0.3.6: a language model with actions, asked several things at once.
import asyncio
import json

from ceylon.compat import FunctionalAction, LlmAgent, LlmConfig, LoggingConfig, PyAction, init_logging

handle = init_logging(LoggingConfig("error", None, False))


class Clock(PyAction):
    def __new__(cls):
        return super().__new__(cls, "get_time", "Say what time it is", '{"type": "object", "properties": {}}')

    def execute(self, context, inputs):
        return "ten past nine"


def multiply(a: int, b: int) -> int:
    """Multiply two numbers"""
    return a * b


config = LlmConfig.builder().provider("ollama").model("gemma3:latest").temperature(0.2).max_tokens(200).build()
agent = LlmAgent("assistant", config)
agent.with_system_prompt("You are a helpful assistant.")


@agent.action(description="Get the weather of a place")
def get_weather(location: str, days: int = 1) -> str:
    return f"sunny in {location} for {days} day(s)"


agent.register_action(Clock())
agent.register_action(FunctionalAction(multiply, "multiply", "Multiply two numbers"))

print("built before:", agent.is_built())
agent.build()
print("built after:", agent.is_built())
print(json.loads(FunctionalAction(multiply, "multiply", "x").metadata())["input_schema"]["required"])


async def main():
    print(await agent.send_message("What is the weather in Colombo?"))
    answers = await asyncio.gather(
        agent.send_message("Say one"),
        agent.send_message("Please multiply 6 and 7"),
        agent.send_message("What time is it?"),
        agent.query("Say four"),
    )
    for answer in answers:
        print(answer)

    done = [
        await each for each in asyncio.as_completed([agent.send_message("Say five"), agent.send_message("Say six")])
    ]
    print(sorted(done))

    task = asyncio.create_task(agent.send_message("Say seven"))
    print(await task, len(await agent.send_message("Say eight")))


asyncio.run(main())
print(asyncio.run(agent.send_message("Say nine")))
print(agent.send_message_sync("Say ten"))
