"""From a model string to a `Model`.

``provider::model`` is the spelling; ``provider:model``, ``provider/model`` and a bare name are understood where they
can mean only one thing. A tag is part of the name: ``gemma3:latest`` is a model, not a provider.
"""

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from ceylon.errors import ModelConfigError
from ceylon.models.auto import AutoModel, log_choice
from ceylon.models.local import LocalModel
from ceylon.models.ollama import OllamaModel
from ceylon.models.openai import OpenAIModel
from ceylon.models.port import Model
from ceylon.models.providers import ALIASES, KNOWN, OWN_FORMATS, SERVICES
from ceylon.models.secret import Secret

__all__ = ["parse", "resolve"]

_HOW: Final = "write it like 'ollama::gemma3', 'openai::gpt-4.1-mini' or 'local::smollm2'"
_BARE: Final = ((re.compile(r"claude-"), "anthropic"), (re.compile(r"gemini-"), "gemini"))
_OPENAI_NAMES: Final = re.compile(r"(gpt-(?!oss)|chatgpt-|o\d(-|$))")  # gpt-oss is open, and served by anyone


def resolve(
    model: str | Model,
    *,
    api_key: str | Secret | None = None,
    base_url: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Return the model that *model* names; a `Model` is returned as it is.

    ``"auto"`` is `$CEYLON_MODEL`, or else a model that chooses when it is opened (see `AutoModel`).

    Raises:
        ModelConfigError: the string names nothing, or options are given to what takes none. A missing key is found by
            the model's `check`.
    """
    settings: dict[str, Any] = {"api_key": Secret.of(api_key), "base_url": base_url, "options": dict(options or {})}
    given = sorted(name for name, value in settings.items() if value)
    if not isinstance(model, str):
        return _as_given(model, given)
    if model.strip() == "auto":
        return _auto(settings, given)
    provider, name = parse(model)
    if provider == "scripted":
        sentence = f"{model!r}: a scripted model is made, not named: pass ScriptedModel([...]) itself"
        raise ModelConfigError(sentence)
    if provider == "local":
        _refuse({"api_key", "base_url"}.intersection(given), f"{model!r} runs in this process")
        return LocalModel(model=name, options=settings["options"])
    if provider == "ollama":
        return OllamaModel(model=name, **settings)
    if provider in OWN_FORMATS:
        return OWN_FORMATS[provider](model=name, **settings)
    return OpenAIModel(model=name, service=SERVICES[provider], **settings)


def parse(model: str) -> tuple[str, str]:
    """Return provider and name.

    Raises:
        ModelConfigError: empty, malformed, or of an unknown provider.
    """
    text = model.strip()
    head, double, tail = text.partition("::")
    if double and ":" not in head:
        return _provider(head, model), _name(tail, model)
    for separator in (":", "/"):
        head, found, tail = text.partition(separator)
        if found and (provider := _known(head)):
            return provider, _name(tail, model)
    if double:
        sentence = f"cannot read {model!r}; {_HOW}"
        raise ModelConfigError(sentence)
    if text.endswith(".gguf"):
        return "local", text
    for pattern, provider in _BARE:
        if pattern.match(text):
            return provider, text
    if _OPENAI_NAMES.match(text):
        return "openai", text
    return _provider(os.environ.get("CEYLON_DEFAULT_PROVIDER") or "ollama", model), _name(text, model)


def _auto(settings: dict[str, Any], given: list[str]) -> Model:
    wanted = os.environ.get("CEYLON_MODEL", "").strip()
    if wanted and wanted != "auto":
        chosen = resolve(wanted, **settings)
        log_choice(chosen.name, "$CEYLON_MODEL")
        return chosen
    _refuse({"api_key", "base_url"}.intersection(given), "'auto' finds its own server")
    return AutoModel(options=settings["options"])


def _as_given(model: object, given: list[str]) -> Model:
    if not isinstance(model, Model):
        sentence = f"a model is a string or a Model, not {type(model).__name__}; {_HOW}"
        raise ModelConfigError(sentence)
    _refuse(given, f"{model.name} is made already")
    return model


def _refuse(given: "set[str] | list[str]", because: str) -> None:
    if given:
        sentence = f"{because}: {', '.join(sorted(given))} cannot be given here"
        raise ModelConfigError(sentence)


def _known(text: str) -> str | None:
    """Return the canonical name of the provider *text* names, if it names one."""
    name = text.strip().lower()
    name = ALIASES.get(name, name)
    return name if name in KNOWN else None


def _provider(text: str, model: str) -> str:
    provider = _known(text)
    if provider is None:
        close = difflib.get_close_matches(text.lower(), KNOWN, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        sentence = f"unknown provider {text!r} in {model!r}{hint} Known: {', '.join(KNOWN)}; {_HOW}"
        raise ModelConfigError(sentence)
    return provider


def _name(text: str, model: str) -> str:
    name = text.strip()
    if not name or any(character.isspace() and character != " " for character in name):
        sentence = f"{model!r} names no model; {_HOW}"
        raise ModelConfigError(sentence)
    return name
