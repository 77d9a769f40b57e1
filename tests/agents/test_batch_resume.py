"""A batch that keeps its answers in a file: a later run asks only what is missing, and no file is ever spoilt."""

import json
from pathlib import Path
from typing import Any

import pytest

from ceylon import ArgumentError, LlmAgent, ModelError
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import llm

QUERIES = ["one", "two", "three"]
ANSWERS = ["echo: one", "echo: two", "echo: three"]


class File:
    """The file of a batch, as a test sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        return self.path.read_bytes()

    def write(self, whole: bytes) -> None:
        self.path.write_bytes(whole)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines in the order of the queries."""
        return sorted(map(json.loads, self.read().splitlines()), key=lambda line: line["index"])


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "answers.jsonl")


@pytest.fixture
def agent(server: ModelServer) -> LlmAgent:
    return llm(server)


def asked(server: ModelServer) -> list[str]:
    """Return what the server was asked since the last time."""
    prompts = [request.prompt for request in server.requests]
    server.requests.clear()
    return sorted(prompts)


async def test_each_answer_is_a_line_of_json(agent: LlmAgent, file: File, anyio_backend: str) -> None:
    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS

    lines = file.lines()
    assert [(line["index"], line["text"]) for line in lines] == list(enumerate(ANSWERS))
    assert all(line["usage"]["output"] for line in lines)


async def test_what_is_answered_is_not_asked_again(
    agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    await agent.send_messages_async(QUERIES, resume=file.path)
    asked(server)

    assert await agent.send_messages_async(QUERIES, resume=str(file.path)) == ANSWERS
    assert asked(server) == []


async def test_only_what_is_missing_is_asked(
    agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    server.fail(Fault(status=400))
    first = await agent.send_messages_async(QUERIES, resume=file.path, return_exceptions=True)
    missing = [query for query, answer in zip(QUERIES, first, strict=True) if isinstance(answer, ModelError)]
    asked(server)

    assert len(missing) == 1
    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS
    assert asked(server) == missing


async def test_resumed_answers_count_as_progress(agent: LlmAgent, file: File, anyio_backend: str) -> None:
    await agent.send_messages_async(QUERIES[:2], resume=file.path)
    told = list[tuple[int, int]]()
    await agent.send_messages_async(QUERIES, resume=file.path, progress=lambda *far: told.append(far))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_script_may_resume_too(agent: LlmAgent, server: ModelServer, file: File) -> None:
    agent.send_messages(QUERIES, resume=file.path)
    asked(server)

    assert agent.send_messages(QUERIES, resume=file.path) == ANSWERS
    assert asked(server) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"system_prompt": "Be brief."},
        {"temperature": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
        {"stop": ["END"]},
        {"options": {"top_p": 0.5}},
    ],
    ids=str,
)
async def test_with_other_settings_all_is_asked_again(
    changed: dict[str, Any], agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    await agent.send_messages_async(QUERIES, resume=file.path)
    asked(server)
    await llm(server, **changed).send_messages_async(QUERIES, resume=file.path)

    assert asked(server) == sorted(QUERIES)


async def test_another_key_or_limit_is_no_other_setting(
    agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    await agent.send_messages_async(QUERIES, resume=file.path)
    asked(server)
    agent.with_api_key("sk-other").with_concurrency(2).with_timeout(5)

    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS
    assert asked(server) == []
    assert b"sk-" not in file.read()


async def test_a_query_at_another_place_is_another(
    agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    await agent.send_messages_async(QUERIES, resume=file.path)
    asked(server)

    assert await agent.send_messages_async(["new", *QUERIES[1:]], resume=file.path) == ["echo: new", *ANSWERS[1:]]
    assert asked(server) == ["new"]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
async def test_a_line_cut_short_is_asked_again_and_the_file_stays_good(
    cut: int, agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    await agent.send_messages_async(QUERIES, resume=file.path)
    whole = file.read()
    last = json.loads(whole.splitlines()[-1])["index"]
    file.write(whole[:-cut])
    asked(server)

    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS
    assert asked(server) == ([] if cut == 1 else [QUERIES[last]])  # without its line's end it is an answer still
    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS
    assert asked(server) == []


@pytest.mark.parametrize(
    "foreign",
    [
        b"my notes, without an end of line",
        b"my notes\n",
        b'{"prompt": "hi", "answer": "hello"}\n',
        b'{"index": 0, "answer": "hello"}\n',
        b'{"index":0}',
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"[]\n",
        b"\n\n{}\n",
    ],
)
async def test_a_file_of_something_else_is_refused_and_stays_as_it_is(
    foreign: bytes, agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str
) -> None:
    file.write(foreign)
    with pytest.raises(ArgumentError, match=r"is no answer of a batch; name the file of the run to go on with") as no:
        await agent.send_messages_async(QUERIES, resume=file.path)

    assert file.path.name in str(no.value)
    assert file.read() == foreign
    assert asked(server) == []


@pytest.mark.parametrize("where", ["missing/answers.jsonl", "."])
async def test_a_place_that_cannot_be_written_is_named(
    where: str, agent: LlmAgent, tmp_path: Path, anyio_backend: str
) -> None:
    with pytest.raises(ArgumentError, match="is no file that answers can be kept in"):
        await agent.send_messages_async(QUERIES, resume=tmp_path / where)


async def test_what_is_no_path_is_named(agent: LlmAgent, anyio_backend: str) -> None:
    with pytest.raises(ArgumentError, match="resume=5 is no file"):
        await agent.send_messages_async(QUERIES, resume=5)  # type: ignore[call-overload]


async def test_an_empty_file_is_a_new_one(agent: LlmAgent, file: File, anyio_backend: str) -> None:
    file.write(b"")

    assert await agent.send_messages_async(QUERIES, resume=file.path) == ANSWERS
    assert len(file.lines()) == 3


async def test_odd_text_survives(agent: LlmAgent, server: ModelServer, file: File, anyio_backend: str) -> None:
    odd = ["line\nbreak\u2028here", '"quoted"', "😀", "\x00"]
    answers = await agent.send_messages_async(odd, resume=file.path)
    asked(server)

    assert await agent.send_messages_async(odd, resume=file.path) == answers == [f"echo: {text}" for text in odd]
    assert asked(server) == []
