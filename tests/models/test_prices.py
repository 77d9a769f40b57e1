"""What tokens cost: by the user's prices, by the list, and by nobody's."""

import pytest

from ceylon.models.prices import genai_prices, price_of
from ceylon.models.turns import Usage

listed = pytest.mark.skipif(genai_prices is None, reason="the extra `prices` is missing")
MODELS = [
    *("openai::gpt-4.1-mini", "openai::gpt-4o", "anthropic::claude-sonnet-4-5", "anthropic::claude-opus-4-1"),
    *("gemini::gemini-2.5-pro", "deepseek::deepseek-chat", "groq::llama-3.3-70b-versatile", "xai::grok-3"),
]
USAGES = [
    Usage(input=7, output=1),
    Usage(input=12_345, output=678, cached_input=9_876),
    Usage(input=250_000, output=3_000, cache_write=1_000),
    Usage(input=1_500_000, output=90_000, cached_input=200_000),
]


def test_the_users_prices_are_for_a_million_tokens() -> None:
    price = price_of("openai::mine", {"openai::mine": (2.0, 8.0)})

    assert price is not None
    assert price.cost(Usage(input=500_000, output=250_000, cached_input=100_000)) == pytest.approx(3.0)


def test_a_name_without_its_provider_will_do() -> None:
    assert price_of("openai::mine", {"mine": (2.0, 8.0)}) is not None
    assert price_of("openai::mine", {"yours": (2.0, 8.0)}) is None


@pytest.mark.parametrize(
    "model", ["ollama::gpt-4.1-mini", "local::smollm2", "nobody::x", "auto", "openai::no-such-model"]
)
def test_what_nobody_knows_has_no_price(model: str) -> None:
    assert price_of(model, {}) is None


@listed
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("usage", USAGES, ids=repr)
def test_a_price_that_was_simplified_is_the_list_s(model: str, usage: Usage) -> None:
    provider, _, name = model.partition("::")
    counts = {"input_tokens": usage.input, "output_tokens": usage.output}
    counts |= {"cache_read_tokens": usage.cached_input} if usage.cached_input else {}
    counts |= {"cache_write_tokens": usage.cache_write} if usage.cache_write else {}
    provider = {"gemini": "google", "xai": "x-ai"}.get(provider, provider)
    wanted = genai_prices.calc_price(genai_prices.Usage(**counts), name, provider_id=provider).total_price

    price = price_of(model, {})

    assert price is not None
    assert price.cost(usage) == pytest.approx(float(wanted))


@listed
def test_counts_that_contradict_each_other_have_no_price() -> None:
    price = price_of("anthropic::claude-sonnet-4-5", {})

    assert price is not None
    assert price.cost(Usage(input=10, output=1, cached_input=20)) is None
