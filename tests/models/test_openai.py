"""Chat completions: what is sent, and what is tolerated."""

import msgspec
import pytest

from ceylon.errors import IncompleteStreamError, ModelConfigError, ModelProtocolError, ModelRateLimitError
from ceylon.models.draft import Draft
from ceylon.models.http import HttpClient
from ceylon.models.openai import OpenAIModel
from ceylon.models.openai_wire import Completion, take
from ceylon.models.providers import SERVICES
from ceylon.models.secret import Secret
from ceylon.models.turns import Finish, Reply, ReplyPart, Request, TextPart, ThinkingPart, Turn, Usage
from ceylon.testing.model_server import Fault, ModelServer
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio


def model_of(server: ModelServer, **settings: object) -> OpenAIModel:
    return OpenAIModel(model="test-model", base_url=server.openai_url, **settings)  # type: ignore[arg-type]


def chunk(delta: object = None, finish: str | None = None, **more: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + msgspec.json.encode({"choices": choices, **more}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def reply_of(client: HttpClient, server: ModelServer, *pieces: bytes) -> Reply:
    server.fail(Fault(pieces=pieces))
    session = await model_of(server).open(client)
    *_, last = await parts_of(session, question())
    assert isinstance(last, ReplyPart)
    return last.reply


async def test_an_answer_has_text_and_usage(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    reply = await session.complete(question("hello there"))

    assert reply == Reply(text="echo: hello there", usage=Usage(input=2, output=3), model="test-model")


async def test_a_stream_ends_with_the_whole_answer(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    parts = await parts_of(session, question("hello there"))

    assert text_of(parts) == "echo: hello there"
    assert parts[-1] == ReplyPart(await session.complete(question("hello there")))


async def test_a_request_is_written_as_servers_read_it(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server, options={"top_p": 0.5}).open(client)
    request = Request(
        turns=(Turn("system", "be brief"), Turn("user", "hi")),
        temperature=0.0,
        max_tokens=7,
        seed=1,
        stop=("x",),
        options={"top_k": 4, "extra_body": {"mirostat": 2}},
    )

    await session.complete(request)

    assert server.requests[0].json == {
        "model": "test-model",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "top_p": 0.5,
        "top_k": 4,
        "mirostat": 2,
        "temperature": 0.0,
        "max_tokens": 7,
        "seed": 1,
        "stop": ["x"],
    }


async def test_a_stream_asks_for_its_usage(client: HttpClient, server: ModelServer) -> None:
    session = await model_of(server).open(client)

    await parts_of(session, question())

    assert server.requests[0].json == {
        "model": "test-model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_only_the_official_server_is_given_the_new_name_of_the_limit() -> None:
    assert OpenAIModel(model="m", api_key=Secret("k")).is_official
    assert not OpenAIModel(model="m", base_url="http://127.0.0.1:1/v1").is_official


async def test_every_oddity_of_compatible_servers_is_read(client: HttpClient, server: ModelServer) -> None:
    reply = await reply_of(
        client,
        server,
        b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": None}, ""),
        chunk({"reasoning": "h"}, usage={"prompt_tokens": 1}),
        chunk({"reasoning_content": "m", "tool_calls": None}),
        chunk([][:0] or None),
        chunk({"content": [{"type": "text", "text": "a"}, {"type": "image"}]}, obfuscation="xx"),
        b"event: message\r\ndata: " + chunk({"content": "\u2028b"})[6:],
        b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}\n\n',
        chunk({}, "length", timings={"predicted_per_second": 12.5}),
        b'data: {"choices":null,"usage":{"prompt_tokens":"7","completion_tokens":3,"prompt_tokens_details":'
        b'{"cached_tokens":5,"cache_write_tokens":null},"completion_tokens_details":{"reasoning_tokens":2}}}\n\n',
        DONE,
    )

    assert reply == Reply(
        text="a\u2028b",
        thinking="hm",
        usage=Usage(input=7, output=3, cached_input=5, reasoning=2),
        finish="length",
        tokens_per_second=12.5,
    )


async def test_thinking_comes_as_parts_of_its_own(client: HttpClient, server: ModelServer) -> None:
    server.fail(Fault(pieces=(chunk({"reasoning": "hm", "content": ""}), chunk({"content": "4"}, "stop"), DONE)))
    session = await model_of(server).open(client)

    parts = await parts_of(session, question())

    assert parts[:2] == [ThinkingPart("hm"), TextPart("4")]


async def test_done_or_a_finish_reason_completes_a_stream(client: HttpClient, server: ModelServer) -> None:
    assert (await reply_of(client, server, chunk({"content": "a"}), DONE)).text == "a"
    assert (await reply_of(client, server, chunk({"content": "a"}, "stop"))).text == "a"
    assert (await reply_of(client, server, chunk({"content": "a"}), b"data: [DONE]")).text == "a"


@pytest.mark.parametrize("pieces", [(DONE,), (chunk({"content": "a"}),), (b'data: {"choices":[]}\n\n', DONE)])
async def test_anything_less_is_incomplete(client: HttpClient, server: ModelServer, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(IncompleteStreamError):
        await reply_of(client, server, *pieces)


async def test_a_server_that_does_not_stream_is_read_all_the_same(client: HttpClient, server: ModelServer) -> None:
    server.fail(Fault(body=b'{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}'))
    session = await model_of(server).open(client)

    parts = await parts_of(session, question())

    assert text_of(parts) == "whole"


async def test_an_error_with_a_status_inside_a_stream_is_that_status(client: HttpClient, server: ModelServer) -> None:
    with pytest.raises(ModelRateLimitError, match="slow down"):
        await reply_of(client, server, b'data: {"error":{"code":429,"message":"slow down"}}\n\n')
    with pytest.raises(ModelProtocolError, match="no words"):
        await reply_of(client, server, b'data: {"error":{"code":"x"}}\n\n')


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("tool_calls", "stop"),  # and no calls: what they are called by is not what they are
        ("content_filter", "filter"),
        ("insufficient_system_resource", "error"),
    ],
)
def test_finish_reasons_become_one_vocabulary(reason: str, finish: Finish) -> None:
    draft = Draft()

    take(draft, msgspec.convert({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]}, Completion))

    assert draft.reply().finish == finish


def test_a_refusal_is_text() -> None:
    draft = Draft()

    take(draft, msgspec.convert({"choices": [{"delta": {"refusal": "I cannot"}}]}, Completion))

    assert draft.text == "I cannot"


def test_a_missing_key_names_the_variable() -> None:
    with pytest.raises(ModelConfigError, match="OPENAI_API_KEY"):
        OpenAIModel(model="gpt-x").check()
    with pytest.raises(ModelConfigError, match="GROQ_API_KEY"):
        OpenAIModel(model="x", service=SERVICES["groq"]).check()


def test_a_key_is_needed_only_at_the_services_own_address() -> None:
    OpenAIModel(model="m", base_url="http://127.0.0.1:8000/v1").check()
    OpenAIModel(model="m", service=SERVICES["vllm"]).check()


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-4711")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://box:8000/v1/")

    endpoint = OpenAIModel(model="m").endpoint()

    assert endpoint.key == Secret("sk-canary-4711")
    assert endpoint.url("/chat/completions") == "http://box:8000/v1/chat/completions"


@pytest.mark.parametrize("url", ["box", "ftp://box", "http://", "http://box:port/", "http://a b/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ModelConfigError, match="base_url"):
        OpenAIModel(model="m", base_url=url).check()


def test_the_official_server_takes_official_options_only() -> None:
    with pytest.raises(ModelConfigError, match=r"top_k.*extra_body"):
        OpenAIModel(model="m", api_key=Secret("k"), options={"top_k": 1}).check()
    OpenAIModel(model="m", base_url="http://box/v1", options={"top_k": 1}).check()


async def test_a_list_of_models_that_fails_leaves_the_servers_answer(client: HttpClient, server: ModelServer) -> None:
    session = await OpenAIModel(model="test-model", base_url=f"{server.base_url}/v2").open(client)

    with pytest.raises(Exception, match="404 page not found"):
        await session.complete(question())
