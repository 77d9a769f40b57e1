"""What an `LlmAgent` is set to, as one value: checked as a whole, kept over restarts."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from ceylon.agents.conversations.port import ConversationStore
from ceylon.agents.conversations.summary import Summarise
from ceylon.agents.conversations.window import Window
from ceylon.agents.outputs import output_of
from ceylon.agents.remembering import Recall
from ceylon.agents.toolbox import check_handoffs, check_tools
from ceylon.core.durations import seconds_of
from ceylon.errors import ArgumentError
from ceylon.memory.port import Memory
from ceylon.models.react import ReAct
from ceylon.models.secret import Secret
from ceylon.models.turns import OutputSchema, Request, Tool, Turn
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.models.port import Model

__all__ = ["LlmSettings", "check_concurrency", "check_retries", "check_timeout", "has_items", "is_concurrency"]

_NAMING: Final = ("model", "api_key", "base_url", "options", "fallback", "hedge", "prices")
_PAIR: Final = 2
_HOTTEST: Final = 2.0  # what every provider takes


class LlmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an `LlmAgent`; `None` leaves a choice to the server.

    They are kept as they were given, right or wrong: `check` tells, when the agent is built.
    """

    model: Any = "auto"  # a model string or a `Model`
    system_prompt: Any = None
    temperature: Any = None
    max_tokens: Any = None
    seed: Any = None
    stop: Any = ()
    options: Any = {}
    concurrency: Any = DEFAULTS.model_concurrency
    timeout: Any = DEFAULTS.model_timeout
    api_key: Any = None
    base_url: Any = None
    fallback: Any = ()  # model strings or `Model`s
    hedge: Any = None  # after how long the next is asked as well: seconds, or text like "1500ms"
    prices: Any = {}
    tools: Any = ()
    tool_choice: Any = "auto"
    output: Any = None
    max_turns: Any = DEFAULTS.model_turns
    memory: Any = None  # a `Memory`
    recall: Any = None  # how it is used: a `Recall`
    conversations: Any = None  # a `ConversationStore`; by default the agent's own
    history: Any = None  # how long ones are made shorter: a `Window` or a `Summarise`
    handoffs: Any = ()  # agents that may go on with a conversation
    react: Any = None  # thoughts, actions and observations in place of tools: a `ReAct`

    def changed(self, **changes: Any) -> "LlmSettings":
        """Return the same settings but for *changes*; keys are hidden from now on, and lists are copied."""
        if "stop" in changes:
            changes["stop"] = _as_texts(changes["stop"])
        for name in {"tools", "handoffs"} & changes.keys():
            changes[name] = _as_tools(changes[name])
        if isinstance(changes.get("react"), bool):
            changes["react"] = ReAct() if changes["react"] else None
        if "fallback" in changes:
            changes["fallback"] = _as_models(changes["fallback"])
        for name in ("options", "prices"):
            if isinstance(changes.get(name), Mapping):
                changes[name] = dict(changes[name])
        if isinstance(changes.get("api_key"), str):
            changes["api_key"] = Secret.of(changes["api_key"])
        return msgspec.structs.replace(self, **changes)

    def check(self) -> None:
        """Raise `ArgumentError` for the first setting that cannot be."""
        for name, is_right, wanted in _RULES:
            value = getattr(self, name)
            if value is not None and not is_right(value):
                shown = "" if name == "api_key" else f"={value!r}"
                message = f"{name}{shown} cannot be; it takes {wanted}"
                raise ArgumentError(message)
        check_concurrency(self.concurrency)
        check_timeout(self.timeout)
        check_tools(self.tools)
        check_handoffs(self.handoffs)
        if self.output is not None:
            output_of(self.output)

    def resolve(self) -> "Model":
        """Return the model that these settings name.

        Raises:
            ModelConfigError: they name none.
        """
        from ceylon.models.resolve import resolve  # noqa: PLC0415 – brings the adapters in, and these an HTTP client

        model = resolve(self.model, api_key=self.api_key, base_url=self.base_url, options=self.options)
        if not self.fallback and not self.prices and self.hedge is None:
            return model
        models = (model, *(resolve(each) for each in self.fallback))
        if self.hedge is None:
            from ceylon.models.fallback import FallbackModel  # noqa: PLC0415 – as above

            return FallbackModel(models, self.prices)
        from ceylon.models.hedging import HedgedModel  # noqa: PLC0415 – as above

        return HedgedModel(models, self.prices, seconds_of(self.hedge))

    def names_same_model(self, other: "LlmSettings") -> bool:
        """Say whether *other* resolves to the same model."""
        return all(getattr(self, name) == getattr(other, name) for name in _NAMING)

    def request(self, tools: tuple[Tool, ...], tool_choice: str, output: OutputSchema | None) -> Request:
        """Return the request that begins with the system prompt; the turns are still to come."""
        return Request(
            turns=(Turn("system", self.system_prompt),) if self.system_prompt else (),
            tools=tools,
            tool_choice=tool_choice,
            output=output,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
            timeout=self.timeout,
        )

    def fingerprint(self) -> bytes:
        """Return what tells apart two settings that may answer differently; no key is in it."""
        model = self.model if isinstance(self.model, str) else self.model.name
        facts = (model, self.system_prompt, self.temperature, self.max_tokens, self.seed, self.stop, self.base_url)
        schema = None if self.output is None else output_of(self.output).schema
        more = [each for each in (schema, self.react) if each is not None]
        return msgspec.json.encode((*facts, *more, sorted(self.options.items())), enc_hook=repr)


def _as_models(value: Any) -> Any:
    """Return *value* as a tuple; one model is one, and what is none stays as it is, for the check."""
    if isinstance(value, str) or not has_items(value):
        return (value,)
    return tuple(value)


def _as_tools(value: Any) -> Any:
    """Return *value* as a tuple; one tool is one, and what has no items, or items of no use, is one for the check."""
    if isinstance(value, (str, Mapping)) or callable(value):
        return (value,)
    return tuple(value) if has_items(value) else (value,)


def is_concurrency(value: object) -> bool:
    """Say whether so many queries can be answered at a time."""
    return _is_whole(value) and value > 0


def check_concurrency(value: object) -> None:
    """Raise `ArgumentError` unless so many queries can be answered at a time."""
    if not is_concurrency(value):
        message = f"concurrency={value!r} cannot be; it takes a whole number from 1"
        raise ArgumentError(message)


def check_timeout(seconds: object) -> None:
    """Raise `ArgumentError` unless *seconds* is a time that can be waited for."""
    if not _is_number(seconds) or not 0 < seconds < math.inf:
        message = f"timeout={seconds!r} cannot be; it takes seconds, more than 0"
        raise ArgumentError(message)


def check_retries(value: object) -> None:
    """Raise `ArgumentError` unless something can be tried again so often."""
    if not _is_whole(value) or value < 0:
        message = f"retries={value!r} cannot be; it takes a whole number from 0"
        raise ArgumentError(message)


def _as_texts(value: Any) -> Any:
    """Return *value* as a tuple; one text is one, and what has no items stays as it is."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if has_items(value) else value


def has_items(value: object) -> bool:
    """Say whether *value* can be iterated over."""
    return isinstance(value, Iterable)


def _is_a(kind: type | tuple[type, ...], value: object) -> bool:
    return isinstance(value, kind)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, float) or _is_whole(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_temperature(value: Any) -> bool:
    return _is_number(value) and 0.0 <= value <= _HOTTEST


def _are_texts(value: Any) -> bool:
    return _is_a(tuple, value) and all(text and _is_text(text) for text in value)


def _are_models(value: Any) -> bool:
    return _is_a(tuple, value) and all(_is_text(each) or hasattr(each, "open") for each in value)


def _is_wait(value: Any) -> bool:
    try:
        return seconds_of(value, again=True) > 0
    except ArgumentError:
        return False


def _are_prices(value: Any) -> bool:
    if not _is_a(dict, value) or not all(_is_text(name) and has_items(pair) for name, pair in value.items()):
        return False
    pairs = [tuple(pair) for pair in value.values()]
    return all(len(pair) == _PAIR and all(_is_number(each) and 0 <= each < math.inf for each in pair) for pair in pairs)


def _are_options(value: Any) -> bool:
    return _is_a(dict, value) and all(_is_text(name) for name in value)


_RULES: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    ("system_prompt", _is_text, "text"),
    ("temperature", _is_temperature, "a number from 0 to 2"),
    ("max_tokens", lambda value: _is_whole(value) and value > 0, "a whole number from 1"),
    ("seed", _is_whole, "a whole number"),
    ("stop", _are_texts, "texts that are not empty"),
    ("options", _are_options, "a mapping of the provider's own names to values"),
    ("tool_choice", lambda value: _is_text(value) and bool(value), "'auto', 'none', 'required' or the name of a tool"),
    ("max_turns", lambda value: _is_whole(value) and value > 0, "a whole number from 1"),
    ("api_key", lambda value: isinstance(value, Secret), "the key as text"),
    ("memory", functools.partial(_is_a, Memory), "a Memory, like InMemory()"),
    ("recall", functools.partial(_is_a, Recall), "a Recall, like Recall(inject=5)"),
    ("conversations", functools.partial(_is_a, ConversationStore), "a ConversationStore, like SqliteConversations(…)"),
    ("history", functools.partial(_is_a, (Window, Summarise)), "a Window or a Summarise"),
    ("react", functools.partial(_is_a, ReAct), "True, False or a ReAct, like ReAct(stop=())"),
    ("fallback", _are_models, "model strings, or models"),
    ("hedge", _is_wait, "a time to wait, like 2.0 seconds or '1500ms'"),
    ("prices", _are_prices, "dollars for a million tokens, like {'provider::model': (0.4, 1.6)}"),
    ("base_url", _is_text, "an address as text, like 'http://127.0.0.1:8000/v1'"),
)
