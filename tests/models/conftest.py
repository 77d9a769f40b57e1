"""A model server, a client, and the four ways of asking."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest

from ceylon.models.http import HttpClient
from ceylon.testing.model_server import ModelServer
from support.models import Caller

VARIABLES = (
    *("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GROQ_API_KEY"),
    *("CEYLON_MODEL", "CEYLON_DEFAULT_PROVIDER", "CEYLON_LOCAL_THREADS"),
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
async def client(anyio_backend: str) -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


@pytest.fixture(params=["openai-whole", "openai-streamed", "ollama-whole", "ollama-streamed"])
def caller(request: pytest.FixtureRequest, client: HttpClient, server: ModelServer) -> Caller:
    dialect, way = cast("str", request.param).split("-")
    return Caller(dialect, way == "streamed", client, server)
