"""The first example of README.md."""
# ruff: noqa: D101, D102 – a snippet is documented by the page it stands in

# --8<-- [start:hello]
from ceylon import Agent, BlockingMesh, LlmAgent


class Greeter(Agent):
    def on_message(self, message: str) -> str:
        return f"Hello, {message}!"


with BlockingMesh("hello") as mesh:
    print(mesh.add(Greeter("greeter")).ask("Ada"))
    print(mesh.add(LlmAgent("tutor", "auto", max_tokens=32)).ask("What is tea?"))
# --8<-- [end:hello]
