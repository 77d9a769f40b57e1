"""The embedded model: no server to start and no key. It is tiny: it proves the road, not wisdom.

``local::smollm2`` is the default; ``local::/path/to/file.gguf`` runs any weights llama.cpp can read.
"""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.errors import ModelConfigError, ModelUnavailableError
from ceylon.models.engine import Engine, EngineOptions, Weights, find_smollm2, join, leave
from ceylon.models.openai import OpenAIModel, OpenAISession, Service
from ceylon.models.port import Abilities
from ceylon.models.turns import Part, Reply, Request

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["LocalModel", "LocalSession", "seed_of", "threads_of", "weights_of"]

_SMOLLM2: Final = ("smollm2", "smollm2:135m")
_THREADS_VARIABLE: Final = "CEYLON_LOCAL_THREADS"
_SEED_VARIABLE: Final = "CEYLON_LOCAL_SEED"
_CHANCE: Final = 2**32 - 1  # a seed is less: this one means chance to llama.cpp, and more it does not hold


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model this process runs itself, started by the first session and stopped by the last.

    `slots` requests are answered at a time, each with `context` tokens for question and answer; more wait in line.
    """

    model: str = "smollm2"
    options: dict[str, Any] = {}
    slots: int = 8
    context: int = 2048

    @property
    def name(self) -> str:
        """The canonical spelling, ``local::model``."""
        return f"local::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for what is neither the known name nor a file."""
        threads_of()
        seed_of()
        if self.model in _SMOLLM2:
            return
        path = Path(self.model).expanduser()
        if path.suffix != ".gguf":
            sentence = f"{self.name}: the embedded models are 'local::smollm2' and 'local::/path/to/file.gguf'"
            raise ModelConfigError(sentence)
        if not path.is_file():
            sentence = f"{self.name}: there is no file {str(path)!r}"
            raise ModelConfigError(sentence)

    async def open(self, client: "HttpClient") -> "LocalSession":
        """Start the engine, or join the one that runs.

        Raises:
            ModelUnavailableError: the engine or the weights are not installed; the sentence says how to get them.
        """
        self.check()
        weights = weights_of(self.model)
        options = EngineOptions(threads=threads_of(), slots=self.slots, context=self.context, seed=seed_of())
        engine = await join(weights, options)
        return LocalSession(self, engine, client)


class LocalSession:
    """Talks to the engine over its loopback port."""

    def __init__(self, model: LocalModel, engine: Engine, client: "HttpClient") -> None:
        self._model, self._engine = model, engine
        self._is_closed = False
        service = Service(provider="local", base_url=engine.url, key_variable="", needs_key=False)
        spoken = OpenAIModel(model=engine.weights.alias, base_url=engine.url, options=model.options, service=service)
        self._session = OpenAISession(spoken, spoken.endpoint(), client)

    @property
    def abilities(self) -> Abilities:
        """See `Session`: the grammar keeps any answer to a schema; the tiny model's template knows no tools."""
        return Abilities(tools=False)

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        self._check_process()
        return await self._session.complete(request)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes."""
        self._check_process()
        parts = self._session.stream(request)
        try:
            async for part in parts:
                yield part
        finally:
            await parts.aclose()

    async def aclose(self) -> None:
        """Leave the engine; the last one stops it."""
        if self._is_closed:
            return
        self._is_closed = True
        await leave(self._engine)

    @property
    def engine_url(self) -> str:
        """The engine's own address, which speaks OpenAI's language."""
        return self._engine.url

    def _check_process(self) -> None:
        if self._engine.pid != os.getpid():
            advice = "This process was forked from the one that started it; open the model anew here."
            raise ModelUnavailableError(self._model.name, "the engine of another process", advice)


def weights_of(model: str) -> Weights:
    """Return the weights that *model* names: the known ones, or a file.

    Raises:
        ModelUnavailableError: the known ones are not installed.
    """
    if model in _SMOLLM2:
        return find_smollm2()
    path = Path(model).expanduser().resolve()
    return Weights(path, path.stem)


def threads_of() -> int:
    """Return how many threads the engine computes with: one, unless the environment says otherwise."""
    words = os.environ.get(_THREADS_VARIABLE, "").strip() or "1"
    if not words.isdecimal() or int(words) == 0:
        sentence = f"{_THREADS_VARIABLE} is {words!r}; it is a number of threads, like 2"
        raise ModelConfigError(sentence)
    return int(words)


def seed_of() -> int | None:
    """Return what decides the engine's choices where a request has no seed: chance, unless the environment says so."""
    words = os.environ.get(_SEED_VARIABLE, "").strip()
    if words and not (words.isdecimal() and len(words) <= len(str(_CHANCE)) and int(words) < _CHANCE):
        sentence = f"{_SEED_VARIABLE} is {words!r}; it is a whole number from 0 to {_CHANCE - 1}, like 7"
        raise ModelConfigError(sentence)
    return int(words) if words else None
