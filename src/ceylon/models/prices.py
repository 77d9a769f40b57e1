"""What tokens cost: the users' own prices, else those that `genai-prices` keeps (the extra `prices`), else unknown.

Import this module late: with the extra, it loads pydantic.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

from ceylon.models.turns import Usage

__all__ = ["OwnPrices", "Price", "genai_prices", "price_of"]

OwnPrices: TypeAlias = Mapping[str, tuple[float, float]]
"""Dollars for a million tokens, in and out, by the model's name, with its provider or without."""

genai_prices: Any = importlib.import_module("genai_prices") if importlib.util.find_spec("genai_prices") else None
"""The price list; `None` without the extra."""

_MILLION: Final = 1e6
_PROVIDERS: Final[Mapping[str, str]] = {
    "gemini": "google",
    "google": "google",
    "xai": "x-ai",
    "openai-responses": "openai",
    "responses": "openai",
}
_UNPRICED: Final = frozenset({"ollama", "local", "scripted", "vllm", "lmstudio", "llamacpp", "auto"})


class Price(Protocol):
    """The price of one model."""

    def cost(self, usage: Usage) -> float | None:
        """Return US dollars; `None` where the price list does not know."""
        ...


class _Flat:
    """So much for each token in, so much for each out."""

    def __init__(self, pair: tuple[float, float]) -> None:
        self._in, self._out = pair

    def cost(self, usage: Usage) -> float | None:
        return (usage.input * self._in + usage.output * self._out) / _MILLION


class _Listed:
    """As the price list has it: caches, steps, and what else a provider thinks of."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider, self._model = provider, model

    def cost(self, usage: Usage) -> float | None:
        if genai_prices is None:
            return None
        counts: dict[str, Any] = {"input_tokens": usage.input, "output_tokens": usage.output}
        counts |= {"cache_read_tokens": usage.cached_input} if usage.cached_input else {}
        counts |= {"cache_write_tokens": usage.cache_write} if usage.cache_write else {}
        try:
            found = genai_prices.calc_price(genai_prices.Usage(**counts), self._model, provider_id=self._provider)
        except (LookupError, ValueError):  # no such model, or counts that contradict each other
            return None
        return float(found.total_price)


def price_of(model: str, own: OwnPrices) -> Price | None:
    """Return the price of *model*, spelled ``provider::model``; `None` if nobody knows it."""
    provider, _, name = model.partition("::")
    pair = own.get(model, own.get(name))
    if pair is not None:
        return _Flat(pair)
    if genai_prices is None or provider in _UNPRICED:
        return None
    listed = _Listed(_PROVIDERS.get(provider, provider), name)
    return listed if listed.cost(Usage(input=1, output=1)) is not None else None
