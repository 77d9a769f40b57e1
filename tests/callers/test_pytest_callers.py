"""The caller matrix, where the caller is a test: one of pytest-asyncio, one of anyio's plugin on each loop."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ceylon import Mesh
from support.callers_awaited import AWAITED
from support.callers_expected import EXPECTED
from support.callers_stage import Stage, stage


@pytest_asyncio.fixture
async def market(model_url: str) -> AsyncIterator[Stage[Mesh]]:
    """A mesh that a fixture opens: it is entered in one task and left in another."""
    async with stage(model_url) as found:
        yield found


@pytest.fixture
async def anyio_market(anyio_backend: str, model_url: str) -> AsyncIterator[Stage[Mesh]]:
    """The same as a fixture of anyio's plugin."""
    async with stage(model_url) as found:
        yield found


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["pytest_asyncio"])
async def test_under_pytest_asyncio(caller: str, verb: str, market: Stage[Mesh]) -> None:
    assert await AWAITED[verb](market) == EXPECTED[verb]


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["pytest_anyio"])
async def test_under_anyio(caller: str, verb: str, anyio_market: Stage[Mesh]) -> None:
    assert await AWAITED[verb](anyio_market) == EXPECTED[verb]
