"""A model server, a client over each kind of connection, and the four ways of asking."""

import importlib.util
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest

from ceylon.models.connection import Connection, SteadyConnection
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.testing.model_server import ModelServer
from support.dialects import WAYS
from support.models import Caller

VARIABLES = (
    *("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GROQ_API_KEY"),
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
    *("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
    *("CEYLON_MODEL", "CEYLON_DEFAULT_PROVIDER", "CEYLON_LOCAL_THREADS"),
)


_EVERYWHERE = (("asyncio", "steady"), ("trio", "quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most pairs of loop and connection to those who run what is big: each alone is in the others.

    Every fault meets every dialect, whole and streamed, in the quick runs as well, on one of two pairs by turns.
    """
    for item in items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        pair = (chosen.get("anyio_backend"), chosen.get("connection"))
        if None not in pair and pair not in _pairs(item.name.partition("[")[0], str(chosen.get("caller", ""))):
            item.add_marker(pytest.mark.big)


def _pairs(name: str, caller: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs that *caller* meets the test called *name* on."""
    if not caller:
        return _EVERYWHERE
    return (_EVERYWHERE[zlib.crc32(f"{name} {caller}".encode()) % len(_EVERYWHERE)],)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


without_speed = pytest.mark.skipif(importlib.util.find_spec("httptools") is None, reason="the extra `speed` is missing")


@pytest.fixture(params=["steady", pytest.param("quick", marks=without_speed)])
def connection(request: pytest.FixtureRequest) -> type[Connection]:
    """Return the connection of the plain install, then that of the extra `speed`."""
    if request.param == "steady":
        return SteadyConnection
    from ceylon.models.quick import QuickConnection  # noqa: PLC0415 – there with the extra only

    return QuickConnection


@pytest.fixture
async def client(anyio_backend: str, connection: type[Connection]) -> AsyncIterator[HttpClient]:
    async with HttpClient(transport=Pool(connection=connection)) as client:
        yield client


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest, client: HttpClient, server: ModelServer) -> Caller:
    dialect, _, way = cast("str", request.param).rpartition("-")
    return Caller(dialect, way == "streamed", client, server)
