"""Ollama's own API: what is sent, and what is understood."""

import msgspec
import pytest

from ceylon.errors import ModelConfigError
from ceylon.models.http import HttpClient
from ceylon.models.ollama import OllamaModel
from ceylon.models.ollama_host import host_url
from ceylon.models.secret import Secret
from ceylon.models.turns import Reply, ReplyPart, Request, TextPart, ThinkingPart, Turn, Usage
from ceylon.testing.model_server import Fault, ModelServer
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio


def model_of(server: ModelServer, **settings: object) -> OllamaModel:
    return OllamaModel(model="test-model", base_url=server.base_url, **settings)  # type: ignore[arg-type]


async def test_an_answer_has_text_usage_and_speed(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    reply = await session.complete(question("hello there"))

    assert reply == Reply(
        text="echo: hello there", usage=Usage(input=2, output=3), model="test-model", tokens_per_second=1000.0
    )


async def test_a_stream_ends_with_the_whole_answer(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    parts = await parts_of(session, question("hello there"))

    assert text_of(parts) == "echo: hello there"
    assert parts[-1] == ReplyPart(await session.complete(question("hello there")))


async def test_a_request_is_written_as_ollama_reads_it(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server, options={"num_ctx": 4096, "keep_alive": "10m", "top_k": 3}).open(client)
    turns = (Turn("system", "be brief"), Turn("user", "hi"), Turn("assistant", "ho"), Turn("user", "and?"))
    request = Request(
        turns=turns, temperature=0.0, max_tokens=7, seed=1, stop=("x",), options={"think": False, "top_k": 4}
    )

    await session.complete(request)

    assert server.requests[0].json == {
        "model": "test-model",
        "messages": [{"role": turn.role, "content": turn.text} for turn in turns],
        "stream": False,
        "keep_alive": "10m",
        "think": False,
        "options": {"num_ctx": 4096, "top_k": 4, "temperature": 0.0, "num_predict": 7, "seed": 1, "stop": ["x"]},
    }


async def test_what_is_not_set_is_not_sent(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    await parts_of(session, question())

    assert server.requests[0].json == {
        "model": "test-model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    assert "authorization" not in server.requests[0].headers


async def test_thinking_comes_as_parts_of_its_own(client: HttpClient, server: ModelServer) -> None:
    lines = (
        b'{"model":"m","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":"4"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"length","eval_count":2}\n',
    )
    server.fail(Fault(pieces=lines))
    session = await model_of(server).open(client)

    parts = await parts_of(session, question())

    reply = Reply(text="4", thinking="hm", usage=Usage(output=2), finish="length", model="m")
    assert parts == [ThinkingPart("hm"), TextPart("4"), ReplyPart(reply)]


@pytest.mark.parametrize(
    "counts", [{}, {"eval_count": 0, "eval_duration": 0}, {"eval_count": 3, "eval_duration": None}]
)
async def test_counters_may_be_missing(client: HttpClient, server: ModelServer, counts: dict[str, int]) -> None:
    body = msgspec.json.encode({"message": {"content": "x"}, "done": True, "done_reason": "stop", **counts})
    server.fail(Fault(body=body))
    session = await model_of(server).open(client)

    reply = await session.complete(question())

    assert reply.usage == Usage(output=counts.get("eval_count", 0))
    assert reply.tokens_per_second is None


async def test_unknown_fields_and_spare_lines_are_passed_over(client: HttpClient, server: ModelServer) -> None:
    pieces = (
        b"\xef\xbb\xbf\n",
        b'{"status":"loading","new":{"a":[1]}}\r\n\r\n',
        b'{"message":{"content":"a\xe2\x80\xa8b","tool_calls":null},"done":false}\n',
        b'{"message":null,"done":true}',
    )
    server.fail(Fault(pieces=pieces))
    session = await model_of(server).open(client)

    *_, last = await parts_of(session, question())

    assert isinstance(last, ReplyPart)
    assert last.reply.text == "a\u2028b"


@pytest.mark.parametrize(("option", "hint"), [("tempratur", "temperature"), ("num_ctxx", "num_ctx"), ("zzz", "knows")])
async def test_an_unknown_option_is_refused_with_a_hint(
    client: HttpClient, server: ModelServer, option: str, hint: str
) -> None:
    with pytest.raises(ModelConfigError, match=f"{option}.*{hint}"):
        model_of(server, options={option: 1}).check()
    session = await model_of(server).open(client)
    with pytest.raises(ModelConfigError, match=hint):
        await session.complete(question(options={option: 1}))

    assert server.requests == []


@pytest.mark.parametrize("value", [object(), {1, 2}.__iter__(), "\ud800"])
async def test_what_json_cannot_hold_is_refused(client: HttpClient, server: ModelServer, value: object) -> None:
    session = await model_of(server).open(client)

    with pytest.raises(ModelConfigError, match="JSON"):
        await session.complete(question(options={"stop": value}))


async def test_the_host_comes_from_the_environment(
    client: HttpClient, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.base_url.removeprefix("http://"))
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-canary-4711")
    session = await OllamaModel(model="test-model").open(client)

    assert (await session.complete(question())).text == "echo: hi"
    assert "authorization" not in server.requests[0].headers  # that key is the cloud's only


async def test_a_given_key_is_sent(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server, api_key=Secret("sk-canary-4711")).open(client)

    await session.complete(question())

    assert server.requests[0].headers["authorization"] == "Bearer sk-canary-4711"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 – read, never bound
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        (":9000", "http://127.0.0.1:9000"),
        ("box", "http://box:11434"),
        ("box:9000", "http://box:9000"),
        ("box:9000/ollama/", "http://box:9000/ollama"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:9000", "https://box:9000"),
        ("ollama.com", "https://ollama.com:443"),
        ("https://ollama.com", "https://ollama.com:443"),
        (' "box" ', "http://box:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("[::]", "http://[::1]:11434"),
    ],
)
def test_a_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert host_url(host) == url


@pytest.mark.parametrize("host", ["box:port", "box:99999", "ftp://box", "http://[::1", "a b"])
def test_a_host_that_is_none_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)

    with pytest.raises(ModelConfigError, match="OLLAMA_HOST"):
        OllamaModel(model="m").check()
