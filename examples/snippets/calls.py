"""A call and a typed answer, on the first page; the suite plays it from a recording."""
# ruff: noqa: D101 – a snippet is documented by the page it stands in

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
