"""A server that speaks chat completions, and in what it differs from the others that do. Data, no logic."""

from typing import Final, Literal

import msgspec

from ceylon.models.think_tags import NO_TAGS, THINK, Tags

__all__ = ["OPENAI", "Quirks", "Service"]


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does its own way; the defaults are what most of those that imitate OpenAI do.

    Attributes:
        limit_name: Its name for `max_tokens`.
        seed_name: Its name for `seed`; empty where it takes none.
        system_role: The role of the system prompt.
        strict: Whether it takes ``strict`` for tools and schemas, cut to the subset that goes with it.
        tools: Whether it takes tools.
        tool_choice: Whether it can be made to call.
        output: How it keeps an answer to a schema, see `Abilities`.
        output_with_tools: Whether it takes tools and a schema in one request.
        thinking_name: The field in which it wants the thoughts that led to calls back, if it does.
        think_tags: What is around thoughts that it leaves in the text, if its model writes such.
        stream_usage: Whether a stream has to ask for its usage.
        short_ids: Whether the ids of calls are nine letters and digits, as Mistral has it.
    """

    limit_name: str = "max_tokens"
    seed_name: str = "seed"
    system_role: str = "system"
    strict: bool = False
    tools: bool = True
    tool_choice: bool = True
    output: Literal["schema", "tool", "prompt"] = "schema"
    output_with_tools: bool = True
    thinking_name: str = ""
    think_tags: Tags = THINK
    stream_usage: bool = True
    short_ids: bool = False


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A server that speaks chat completions: where it usually is, and the variable its key is kept in."""

    provider: str
    base_url: str
    key_variable: str
    needs_key: bool = True
    url_variable: str = ""
    quirks: Quirks = Quirks()


OPENAI: Final = Service(
    provider="openai",
    base_url="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    url_variable="OPENAI_BASE_URL",
    quirks=Quirks(limit_name="max_completion_tokens", strict=True, think_tags=NO_TAGS),
)
