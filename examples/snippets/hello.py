"""The examples of README.md."""
# ruff: noqa: D101, D102, E402 – a snippet is documented by the page it stands in, which shows it in two pieces

# --8<-- [start:hello]
from ceylon import Agent, BlockingMesh, LlmAgent


class Greeter(Agent):
    def on_message(self, message: str) -> str:
        return f"Hello, {message}!"


with BlockingMesh("hello") as mesh:
    print(mesh.add(Greeter("greeter")).ask("Ada"))
    print(mesh.add(LlmAgent("tutor", "auto", max_tokens=32)).ask("What is tea?"))
# --8<-- [end:hello]

# --8<-- [start:calls]
import msgspec

from ceylon import LlmAgent


class Weather(msgspec.Struct):
    city: str
    degrees: float


def forecast(city: str) -> str:
    """Return tomorrow's weather in a city."""
    return f"{city}: 31 degrees, dry"


reporter = LlmAgent("reporter", "auto", tools=[forecast], tool_choice="forecast", max_tokens=64)
reply = reporter.blocking.complete("How warm will it be in Colombo tomorrow?", output=Weather)
print(reply.output)  # Weather(city='Colombo', degrees=31.0)
# --8<-- [end:calls]
