"""What tokens cost: the users' own prices, else those that `genai-prices` keeps (the extra `prices`), else unknown.

Import this module late: with the extra, it loads pydantic.
"""

import importlib
import importlib.util
import math
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
    """So much for each token: in, out, read from a cache, written to one."""

    def __init__(self, in_: float, out: float, cached: float | None = None, written: float | None = None) -> None:
        self._in, self._out = in_, out
        self._cached = in_ if cached is None else cached
        self._written = in_ if written is None else written

    def cost(self, usage: Usage) -> float | None:
        plain = usage.input - usage.cached_input - usage.cache_write
        cost = plain * self._in + usage.cached_input * self._cached + usage.cache_write * self._written
        return (cost + usage.output * self._out) / _MILLION


class _Listed:
    """As the price list has it: caches, steps, hours of the day, and what else a provider thinks of."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider, self._model = provider, model

    def cost(self, usage: Usage) -> float | None:
        found = self._find(usage)
        return None if found is None else float(found.total_price)

    def _find(self, usage: Usage) -> Any:
        counts: dict[str, Any] = {"input_tokens": usage.input, "output_tokens": usage.output}
        counts |= {"cache_read_tokens": usage.cached_input} if usage.cached_input else {}
        counts |= {"cache_write_tokens": usage.cache_write} if usage.cache_write else {}
        try:
            return genai_prices.calc_price(genai_prices.Usage(**counts), self._model, provider_id=self._provider)
        except (LookupError, ValueError):  # no such model, or counts that contradict each other
            return None

    def simplified(self) -> Price:
        """Return the same without the list, if that comes to the same: looking it up takes longer than all the rest."""
        found = self._find(_ONE)
        if found is None or isinstance(found.model.prices, list):  # with conditions
            return self
        rates = [self.cost(usage) for usage in _EACH]
        if None in rates:
            return self
        flat = _Flat(*(rate for rate in rates if rate is not None))
        pairs = [(self.cost(usage), flat.cost(usage)) for usage in _MIXED]
        is_same = all(a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9) for a, b in pairs)
        return flat if is_same else self


_MANY: Final = 1_000_000
_ONE: Final = Usage(input=1, output=1)
_EACH: Final = (
    Usage(input=_MANY),
    Usage(output=_MANY),
    Usage(input=_MANY, cached_input=_MANY),
    Usage(input=_MANY, cache_write=_MANY),
)
_MIXED: Final = (
    Usage(input=1_000, output=10, cached_input=300, cache_write=200),
    Usage(input=150_000, output=9_000, cached_input=100_000),
    Usage(input=300_000, output=70_000),
    Usage(input=3 * _MANY, output=_MANY, cached_input=_MANY, cache_write=_MANY),
)


def price_of(model: str, own: OwnPrices) -> Price | None:
    """Return the price of *model*, spelled ``provider::model``; `None` if nobody knows it."""
    provider, _, name = model.partition("::")
    pair = own.get(model, own.get(name))
    if pair is not None:
        return _Flat(*pair)
    if genai_prices is None or provider in _UNPRICED:
        return None
    listed = _Listed(_PROVIDERS.get(provider, provider), name)
    return listed.simplified() if listed.cost(_ONE) is not None else None
