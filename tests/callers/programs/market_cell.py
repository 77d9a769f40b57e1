# One cell of a notebook: it defines its classes, and uses them, every time it is run.
import os

from ceylon import Agent, LlmAgent, Message, default_mesh, on


class Question(Message["Reply"]):
    """Ask for *times* echoes."""

    text: str
    times: int = 1


class Reply(Message):
    """The echoes."""

    text: str


class Echo(Agent):
    """Echoes, in a thread."""

    @on
    def echo(self, question: Question) -> Reply:
        return Reply(question.text * question.times)


echo = Echo("echo")
if "echo" in default_mesh().agents:
    default_mesh().stop("echo")
answer = default_mesh().add(echo).ask(Question("ho", 3))
tutor = LlmAgent("tutor", "openai::test-model", base_url=os.environ["MODEL_URL"], api_key="sk-none")
print(type(answer) is Reply, answer.text, tutor.send_message("hi"), id(default_mesh()))  # noqa: T201 – a cell does
