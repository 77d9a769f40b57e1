"""What an `LlmAgent` is set to, as one value: checked as a whole, kept over restarts."""

import importlib
import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import anyio.to_thread
import msgspec

from ceylon.errors import ArgumentError
from ceylon.models.turns import Request, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.models.port import Model

__all__ = ["LlmSettings", "load_adapters"]


class LlmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an `LlmAgent`; `None` leaves a choice to the server."""

    model: Any = "auto"  # a model string or a Model; a Protocol is no type msgspec could check
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    concurrency: int = DEFAULTS.model_concurrency
    timeout: float = DEFAULTS.model_timeout
    api_key: Any = None
    base_url: str | None = None

    def check(self) -> None:
        """Raise `ArgumentError` for the first setting that cannot be."""
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:  # noqa: PLR2004 – what every provider takes
            _refuse("temperature", self.temperature, "a number from 0 to 2")
        if self.max_tokens is not None and (not _is_whole(self.max_tokens) or self.max_tokens < 1):
            _refuse("max_tokens", self.max_tokens, "a whole number from 1")
        if self.seed is not None and not _is_whole(self.seed):
            _refuse("seed", self.seed, "a whole number")
        if not _is_whole(self.concurrency) or self.concurrency < 1:
            _refuse("concurrency", self.concurrency, "a whole number from 1")
        if not 0 < self.timeout < math.inf:
            _refuse("timeout", self.timeout, "seconds, more than 0")
        if self.system_prompt is not None and not isinstance(self.system_prompt, str):
            _refuse("system_prompt", self.system_prompt, "text")

    def resolve(self) -> "Model":
        """Return the model that these settings name.

        Raises:
            ModelConfigError: they name none.
        """
        from ceylon.models.resolve import resolve  # noqa: PLC0415 – brings the adapters in, and these an HTTP client

        return resolve(self.model, api_key=self.api_key, base_url=self.base_url, options=self.options)

    def request(self, turns: tuple[Turn, ...], timeout: float) -> Request:
        """Return the request that continues *turns*, after the system prompt."""
        if self.system_prompt:
            turns = (Turn("system", self.system_prompt), *turns)
        return Request(
            turns=turns,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
            timeout=timeout,
        )

    def fingerprint(self) -> bytes:
        """Return what tells apart two settings that may answer differently; no key is in it."""
        model = self.model if isinstance(self.model, str) else self.model.name
        facts = (model, self.system_prompt, self.temperature, self.max_tokens, self.seed, self.stop, self.base_url)
        return msgspec.json.encode((*facts, sorted(self.options.items())), enc_hook=repr)


async def load_adapters() -> None:
    """Import the model adapters, and the HTTP client under them, without holding up the loop for those 0.2 s."""
    if "ceylon.agents.sessions" not in sys.modules:
        await anyio.to_thread.run_sync(importlib.import_module, "ceylon.agents.sessions")
    if "ceylon.models.resolve" not in sys.modules:
        await anyio.to_thread.run_sync(importlib.import_module, "ceylon.models.resolve")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(name: str, value: object, wanted: str) -> NoReturn:
    message = f"{name}={value!r} cannot be; it takes {wanted}"
    raise ArgumentError(message)
