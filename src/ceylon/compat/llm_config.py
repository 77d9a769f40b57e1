"""What a language-model agent is set to, as `ceylonai-next` spells it."""

import os
from typing import Any, Final, Self

__all__ = ["LlmConfig", "PyLlmConfig", "served"]

_OTHERWISE: Final = {"azure-openai": "azure", "azureopenai": "azure"}
"""Providers that are called otherwise here; `ceylon.models` knows the rest."""


class PyLlmConfig:
    """What a language-model agent is set to; made by ``LlmConfig.builder()``, each method returns it."""

    def __init__(self) -> None:
        self._provider = self._model = ""
        self._others: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<LlmConfig {self.model_string!r}>"

    @staticmethod
    def builder() -> "PyLlmConfig":
        """Begin one."""
        return PyLlmConfig()

    def provider(self, provider: str) -> Self:
        """Set the provider: ``"ollama"``, ``"openai"`` or another."""
        self._provider = provider
        return self

    def model(self, model: str) -> Self:
        """Set the model, by the provider's name for it."""
        self._model = model
        return self

    def base_url(self, base_url: str) -> Self:
        """Set the server's address."""
        return self._with(base_url=base_url)

    def temperature(self, temperature: float) -> Self:
        """Set the temperature, from 0 to 2."""
        return self._with(temperature=temperature)

    def max_tokens(self, max_tokens: int) -> Self:
        """Set the longest answer."""
        return self._with(max_tokens=max_tokens)

    def build(self) -> Self:
        """Return it; it is checked where an agent is built."""
        return self

    def _with(self, **changes: Any) -> Self:
        self._others |= changes
        return self

    @property
    def model_string(self) -> str:
        """The model as ``provider::model``."""
        return f"{self._provider}::{self._model}" if self._provider else self._model

    @property
    def options(self) -> dict[str, Any]:
        """The same as the keyword options of a `ceylon.LlmAgent`."""
        return {"model": self.model_string, **self._others}


LlmConfig = PyLlmConfig


def served(options: dict[str, Any]) -> dict[str, Any]:
    """Return *options* with our name for the provider, and with the address of Ollama that `$OLLAMA_URL` says.

    `ceylonai-next` reads that variable.
    """
    model = options.get("model")
    if not isinstance(model, str):
        return options
    provider, separator, name = model.partition("::")
    named = {**options, "model": f"{_OTHERWISE.get(provider, provider)}{separator}{name}"}
    url = os.environ.get("OLLAMA_URL", "").strip()
    return {"base_url": url, **named} if url and provider == "ollama" else named
