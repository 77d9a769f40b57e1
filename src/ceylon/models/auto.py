"""``"auto"``: use what is there.

`$CEYLON_MODEL` is looked at first, where the string is read. Whether an Ollama runs can only be asked on a loop, so the
rest is decided when the model is opened: a running Ollama, else a key in the environment, else the embedded model.
"""

import functools
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.errors import ModelError, ModelUnavailableError
from ceylon.models.anthropic import AnthropicModel
from ceylon.models.gemini import GeminiModel
from ceylon.models.local import LocalModel
from ceylon.models.ollama import InstalledModel, OllamaModel, installed_models, ollama_endpoint
from ceylon.models.openai import OPENAI, OpenAIModel
from ceylon.models.port import Model, Session

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["AutoModel", "log_choice"]

_PROBE_SECONDS: Final = 1.0  # a running server on this machine answers in a few milliseconds
_WITH_A_KEY: Final[Mapping[str, tuple[type[OpenAIModel | AnthropicModel | GeminiModel], str]]] = {  # cheap ones
    OPENAI.key_variable: (OpenAIModel, "gpt-4.1-mini"),  # it still takes a temperature
    "ANTHROPIC_API_KEY": (AnthropicModel, "claude-haiku-4-5"),
    "GOOGLE_API_KEY": (GeminiModel, "gemini-flash-lite-latest"),
    "GEMINI_API_KEY": (GeminiModel, "gemini-flash-lite-latest"),
}
_NO_CHAT: Final = ("embed", "bge-", "minilm", "rerank", "all-mini", "e5-")
_NO_CHAT_FAMILIES: Final = ("bert", "nomic-bert", "clip")
_logger: Final = logging.getLogger("ceylon")


class AutoModel(msgspec.Struct, frozen=True, kw_only=True):
    """Chooses when it is opened; the choice is logged once, at info, by the logger ``ceylon``."""

    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What was asked for; the session's replies say which model it became."""
        return "auto"

    def check(self) -> None:
        """Nothing can be known to be wrong before the choice."""

    async def open(self, client: "HttpClient") -> Session:
        """Return a session of the first model there is."""
        model, why = await self.choose(client)
        try:
            session = await model.open(client)
        except ModelUnavailableError as error:
            advice = f"No Ollama answers either, and no key is set ({', '.join(_WITH_A_KEY)}). {error.advice}"
            raise ModelUnavailableError(self.name, error.address, advice) from error
        log_choice(model.name, why)
        return session

    async def choose(self, client: "HttpClient") -> tuple[Model, str]:
        """Return the model to use, and why."""
        ollama = OllamaModel(model="model")
        try:
            endpoint = ollama_endpoint(ollama)
            installed = await installed_models(client, endpoint, timeout=_PROBE_SECONDS)
        except ModelError:
            installed = []
        else:
            for each in installed:
                if _can_chat(each):
                    return OllamaModel(model=each.name, options=self.options), f"Ollama runs at {endpoint.address}"
        for variable, (kind, name) in _WITH_A_KEY.items():
            if os.environ.get(variable, "").strip():
                return kind(model=name, options=self.options), f"{variable} is set"
        return LocalModel(options=self.options), "no Ollama answers and no key is set: the embedded model"


@functools.cache  # once a process and choice, however many agents ask
def log_choice(model: str, why: str) -> None:
    """Say which model ``"auto"`` became."""
    _logger.info("model_chosen %s (%s)", model, why)


def _can_chat(model: InstalledModel) -> bool:
    """Return whether *model* answers in text, and on this machine."""
    if model.capabilities is not None and "completion" not in model.capabilities:
        return False
    family = (model.details and model.details.family) or ""
    name = model.name.lower()
    is_remote = name.endswith(("-cloud", ":cloud"))
    return not is_remote and family not in _NO_CHAT_FAMILIES and not any(word in name for word in _NO_CHAT)
