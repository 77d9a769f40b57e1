"""A model server, a client over each kind of connection, and the four ways of asking."""

import importlib.util
import os
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
    *("CEYLON_MODEL", "CEYLON_DEFAULT_PROVIDER", "CEYLON_LOCAL_THREADS", "CEYLON_LOCAL_SEED"),
)


_PAIRS = (("asyncio", "steady"), ("trio", "quick"), ("asyncio", "quick"), ("trio", "steady"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try every fault on every dialect, whole and streamed, on one pair of loop and connection by turns.

    Another pair is for those who run what is big, and all four for those who set `$CEYLON_FUZZ`. What knows no dialect
    is tried on two pairs, and on the others where big things run.
    """
    kept: list[pytest.Item] = []
    for item in items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        pair = (chosen.get("anyio_backend"), chosen.get("connection"))
        rank = _rank(pair, item.name.partition("[")[0], str(chosen.get("caller", "")))
        if rank > 0:
            item.add_marker(pytest.mark.big)
        if rank <= 1 or "CEYLON_FUZZ" in os.environ:
            kept.append(item)
    items[:] = kept


def _rank(pair: tuple[object, object], name: str, caller: str) -> int:
    """Return how early *caller* meets the test called *name* on *pair*: 0 in every run, 1 in big ones."""
    if None in pair or pair not in _PAIRS:
        return 0
    place = _PAIRS.index(pair)
    if not caller:
        return place // 2
    turn = zlib.crc32(f"{name} {caller}".encode()) % 2
    return {turn: 0, 2 + turn: 1}.get(place, 2)


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
