"""Thoughts that a server leaves in the text are split off, however the text comes, and nothing else is."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelConfigError
from ceylon.models.draft import Draft
from ceylon.models.http import HttpClient
from ceylon.models.providers import SERVICES
from ceylon.models.resolve import resolve
from ceylon.models.think_tags import NO_TAGS, THINK, Tags
from ceylon.models.turns import Reply, ReplyPart, Request, TextPart, ThinkingPart, Turn
from ceylon.testing.http_server import Connection, HttpRequest, ServerThread

CASES = [
    ("<think>hm</think>yes", "yes", "hm"),
    ("\n<think>\nhm <b> \n</think>\n\nyes </think>", "yes </think>", "hm <b>"),
    ("<think></think>yes", "yes", ""),
    ("<think>\n\n</think>\n\n<think>", "<think>", ""),
    ("<think>a</thi</think>b", "b", "a</thi"),
    ("<think>cut off", "", "cut off"),
    ("<think>cut off </th", "", "cut off </th"),
    ("<think>no answer</think> ", "", "no answer"),
    ("<thin", "<thin", ""),
    (" <b>no", " <b>no", ""),
    ("no <think>tags</think>", "no <think>tags</think>", ""),
    ("\n ", "\n ", ""),
    ("", "", ""),
]


def read(pieces: Sequence[str], tags: Tags = THINK) -> tuple[str, str]:
    """Return text and thoughts of what comes in *pieces*; the parts say the same as the reply."""
    draft = Draft((), tags)
    parts = [part for piece in pieces for part in draft.add(piece, "")] + draft.rest()
    reply = draft.reply()
    assert "".join(each.text for each in parts if isinstance(each, TextPart)) == reply.text
    assert "".join(each.text for each in parts if isinstance(each, ThinkingPart)) == reply.thinking
    assert all(each.text for each in parts)
    return reply.text, reply.thinking


def cuts(text: str) -> Iterator[list[str]]:
    """Yield *text* whole, in one character a piece, and in two and three pieces at every split."""
    yield [text]
    yield list(text)
    for one, two in itertools.combinations_with_replacement(range(len(text) + 1), 2):
        yield [text[:one], text[one:two], text[two:]]


@pytest.mark.parametrize(("said", "text", "thinking"), CASES)
def test_thoughts_are_split_off_at_every_split(said: str, text: str, thinking: str) -> None:
    assert {read(pieces) for pieces in cuts(said)} == {(text, thinking)}


@pytest.mark.parametrize(("said", "text", "thinking"), CASES)
def test_without_tags_every_text_stays_as_it_is(said: str, text: str, thinking: str) -> None:
    """The sabotage too: a reader that did nothing would give this."""
    assert {read(pieces, NO_TAGS) for pieces in cuts(said)} == {(said, "")}


def test_where_an_answer_begins_with_thoughts_there_is_no_first_tag() -> None:
    tags = Tags("", "</think>")
    assert {read(pieces, tags) for pieces in cuts("hm\n</think>\nyes")} == {("yes", "hm")}


def test_a_server_that_splits_itself_is_believed() -> None:
    draft = Draft((), THINK)
    parts = [*draft.add("", "hm"), *draft.add("<think> is a tag", ""), *draft.rest()]
    assert parts == [ThinkingPart("hm"), TextPart("<think> is a tag")]


# -- behind the servers ------------------------------------------------------------------------------------------------


class Rambling:
    """Speaks chat completions and Ollama's own, and leaves thoughts in the text, three characters a piece."""

    def __init__(self, *said: str) -> None:
        self.said = iter(said)
        self.bodies: list[Any] = []
        self.thread = ServerThread(self.handle)

    async def handle(self, connection: Connection) -> None:
        while (request := await connection.read_request()) is not None:
            if not request.path.endswith(("/chat", "/completions")):
                await connection.reply(200, b'{"capabilities": ["completion", "tools"]}', {})
                continue
            body = msgspec.json.decode(request.body)
            self.bodies.append(body)
            await connection.reply(200, self.answer(request, body), {})

    def answer(self, request: HttpRequest, body: dict[str, Any]) -> bytes:
        said = next(self.said)
        pieces = [said[at : at + 3] for at in range(0, len(said), 3)] if body.get("stream") else [said]
        if request.path.endswith("/chat"):
            lines = [{"message": {"role": "assistant", "content": piece}} for piece in pieces]
            return b"\n".join(map(msgspec.json.encode, [*lines[:-1], {**lines[-1], "done": True}]))
        if not body.get("stream"):
            return msgspec.json.encode({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})
        events = [msgspec.json.encode({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
        return b"".join(b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"])

    def model(self, provider: str, **options: Any) -> Any:
        url = self.thread.url if provider == "ollama" else f"{self.thread.url}/v1"
        return resolve(f"{provider}::qwen3", base_url=url, options=options)


SAID = "<think>\nIt is tea.\n</think>\n\nAssam"
QUESTION = Request(turns=(Turn("user", "Which?"),), timeout=30.0)


async def both(model: Any, request: Request = QUESTION) -> list[Reply]:
    """Return the answer that came whole, and the one that came in parts, which say the same."""
    async with HttpClient() as client:
        session = await model.open(client)
        whole = await session.complete(request)
        parts = [part async for part in session.stream(request)]
        await session.aclose()
    last = parts[-1]
    assert isinstance(last, ReplyPart)
    assert "".join(each.text for each in parts if isinstance(each, TextPart)) == last.reply.text
    assert "".join(each.text for each in parts if isinstance(each, ThinkingPart)) == last.reply.thinking
    return [whole, last.reply]


@pytest.mark.parametrize("provider", ["ollama", "vllm", "llamacpp", "lmstudio", "openai"])
async def test_thoughts_in_the_text_are_thinking_whoever_serves_them(provider: str) -> None:
    rambling = Rambling(SAID, SAID)
    with rambling.thread:
        replies = await both(rambling.model(provider))
    assert [(each.text, each.thinking) for each in replies] == [("Assam", "It is tea.")] * 2
    assert all("think_tags" not in body for body in rambling.bodies)


@pytest.mark.parametrize("provider", ["ollama", "vllm"])
@pytest.mark.parametrize(
    ("tags", "said", "heard"),
    [
        (False, SAID, (SAID, "")),
        (["", "</think>"], "It is tea.</think>Assam", ("Assam", "It is tea.")),
        (["[THINK]", "[/THINK]"], "[THINK]It is tea.[/THINK]Assam", ("Assam", "It is tea.")),
        (True, SAID, ("Assam", "It is tea.")),
    ],
)
@pytest.mark.parametrize("whose", ["model", "request"])
async def test_the_tags_can_be_others_or_none(
    provider: str, tags: Any, said: str, heard: tuple[str, str], whose: str
) -> None:
    rambling = Rambling(said, said)
    options = {"think_tags": tags}
    request = msgspec.structs.replace(QUESTION, options=options) if whose == "request" else QUESTION
    with rambling.thread:
        replies = await both(rambling.model(provider, **(options if whose == "model" else {})), request)
    assert [(each.text, each.thinking) for each in replies] == [heard] * 2
    assert all("think_tags" not in body and "think_tags" not in body.get("options", {}) for body in rambling.bodies)


@pytest.mark.parametrize("tags", ["<think>", ["<think>"], ["<think>", ""], 5, None, [1, 2]])
@pytest.mark.parametrize("provider", ["ollama", "vllm"])
def test_what_cannot_be_tags_is_refused_with_what_can(provider: str, tags: Any) -> None:
    with pytest.raises(ModelConfigError, match=re.escape("['<think>', '</think>']")):
        resolve(f"{provider}::qwen3", options={"think_tags": tags}).check()


def test_openai_itself_leaves_nothing_in_the_text_and_has_no_such_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert SERVICES["openai"].quirks.think_tags == NO_TAGS
    with pytest.raises(ModelConfigError, match="no option 'think_tags'"):
        resolve("openai::gpt-4.1", api_key="sk-none-at-all", options={"think_tags": True}).check()


class Tea(msgspec.Struct):
    """A tea."""

    name: str


@pytest.mark.parametrize("provider", ["ollama", "vllm", "nvidia"])
async def test_structured_output_behind_thoughts_is_read(provider: str) -> None:
    """NVIDIA's keeps to no schema: there the model is told, and thinks before."""
    rambling = Rambling('<think>{"name": "no"}</think>\n{"name": "Assam"}')
    with rambling.thread:
        async with Mesh() as mesh:
            model = rambling.model(provider)
            mesh.add(agent := LlmAgent("tutor", model))
            reply = await agent.complete("Which?", output=Tea)
    assert reply.output == Tea("Assam")
    assert reply.thinking == '{"name": "no"}'


async def test_thoughts_do_not_go_back_into_the_conversation() -> None:
    rambling = Rambling(SAID, SAID)
    with rambling.thread:
        async with Mesh() as mesh:
            mesh.add(agent := LlmAgent("tutor", rambling.model("ollama")))
            chat = agent.conversation("alice")
            assert [await chat.send("Which?"), await chat.send("Sure?")] == ["Assam", "Assam"]
    assert [each["content"] for each in rambling.bodies[-1]["messages"]] == ["Which?", "Assam", "Sure?"]
