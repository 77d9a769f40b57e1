"""An embedded engine takes a while to start; who does not wait for it leaves none behind."""

import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from ceylon.models import engine as engines
from ceylon.models.engine import EngineOptions, Weights, join

OPTIONS = EngineOptions(threads=1, slots=1, context=16)
ENOUGH = 60.0
"""Seconds, for what is done at once."""


async def test_who_leaves_while_an_engine_starts_is_gone_at_once_and_it_is_given_back(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    begun, may_run, is_given_back = anyio.Event(), threading.Event(), threading.Event()
    given_back: list[object] = []
    engine = object()

    def start(weights: Weights, options: EngineOptions) -> object:
        anyio.from_thread.run_sync(begun.set)
        assert may_run.wait(ENOUGH)
        return engine

    def give_back(it: object) -> None:
        given_back.append(it)
        is_given_back.set()

    monkeypatch.setattr(engines, "acquire", start)
    monkeypatch.setattr(engines, "release", give_back)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join, Weights(tmp_path / "weights.gguf", "weights"), OPTIONS)
        await begun.wait()
        tasks.cancel_scope.cancel()

    assert not may_run.is_set()
    assert given_back == []
    may_run.set()
    assert await anyio.to_thread.run_sync(is_given_back.wait, ENOUGH)
    assert given_back == [engine]
