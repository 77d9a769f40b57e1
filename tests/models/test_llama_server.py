"""A real server that speaks Anthropic's and the Responses format: llama.cpp's, with the tests' model."""

import importlib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from ceylon.models.engine import find_smollm2
from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.models.turns import ReplyPart, Request, TextPart, Tool, ToolCall, ToolResult, Turn
from support.models import parts_of

pytestmark = [pytest.mark.anyio, pytest.mark.model, pytest.mark.big]  # once: on every Python the server is the same

# A text that begins with an emoji (several tokens) gets no `message_start` from this server, thus no count of its
# input; without chance in the choice of words the model says "Hello".
LIKELIEST: Final = 0.0
TAKES_IT: Final = {"anthropic_version": "2023-06-01"}  # a later version takes no temperature
TURNS: Final = (Turn("system", "Be brief."), Turn("user", "Say hello."))
HISTORY: Final = (
    Turn("user", "What is in stock?"),
    Turn("assistant", "I look.", calls=(ToolCall("call_1", "stock"),)),
    Turn("tool", results=(ToolResult("call_1", "stock", "tea"),)),
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    engine: Any = importlib.import_module("xllamacpp")
    parameters = engine.CommonParams()
    parameters.model.path = str(find_smollm2().path)
    parameters.n_ctx, parameters.n_parallel = 2048, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.warmup, parameters.verbosity = False, -1
    server = engine.Server(parameters)
    yield server.listening_address
    del server


@pytest.mark.parametrize(("dialect", "path", "options"), [("anthropic", "", TAKES_IT), ("openai-responses", "/v1", {})])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_llama_cpps_server_is_understood(address: str, dialect: str, path: str, options: dict[str, str]) -> None:
    async with HttpClient() as client:
        model = resolve(f"{dialect}::smollm2", base_url=address + path, api_key="sk-test", options=options)
        session = await model.open(client)

        whole = await session.complete(Request(turns=TURNS, max_tokens=12, temperature=LIKELIEST))
        parts = await parts_of(session, Request(turns=TURNS, max_tokens=12, temperature=LIKELIEST))
        stock = Tool("stock", "Say what there is.", {"type": "object"})
        told = await session.complete(Request(turns=HISTORY, max_tokens=8, tools=(stock,), temperature=LIKELIEST))

    *said, last = parts
    assert isinstance(last, ReplyPart)
    assert len(said) > 2  # token by token
    assert "".join(part.text for part in said if isinstance(part, TextPart)) == last.reply.text
    for reply in (whole, last.reply, told):
        assert reply.text
        assert reply.usage.input > 10
        assert 0 < reply.usage.output <= 12
        assert reply.finish in {"stop", "length"}
