"""The settings that servers of chat completions take beside those of a `Request`, by their own names."""

from typing import Final

from ceylon.models.think_tags import OPTION

__all__ = ["OFFICIAL_OPTIONS", "OTHER_OPTIONS"]

OFFICIAL_OPTIONS: Final = frozenset(
    {
        *("top_p", "presence_penalty", "frequency_penalty", "logit_bias", "prediction", "modalities"),
        *("reasoning_effort", "verbosity", "response_format", "service_tier", "metadata", "store"),
        *("parallel_tool_calls", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options", "extra_body"),
    }
)
OTHER_OPTIONS: Final = frozenset(
    {
        *("top_k", "min_p", "typical_p", "repeat_penalty", "repetition_penalty", "repeat_last_n", "min_tokens"),
        *("guided_json", "guided_choice", "guided_regex", "chat_template_kwargs", "ignore_eos"),  # vLLM
        *("grammar", "json_schema", "cache_prompt"),  # llama.cpp
        *("provider", "reasoning", "transforms", "models", "route"),  # OpenRouter
        OPTION,
        *("reasoning_format", "thinking", "safe_prompt", "random_seed"),  # Groq, DeepSeek, Mistral
    }
)
