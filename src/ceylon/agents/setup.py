"""The settings an agent works by, and the model they name: checked once, shared by the instances restarts make."""

import contextlib
import importlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread

from ceylon.agents.llm_settings import LlmSettings
from ceylon.models.stand_ins import stand_ins, stood_in

if TYPE_CHECKING:
    from ceylon.models.port import Model

__all__ = ["Setup", "load_adapters"]

_ADAPTERS: Final = ("ceylon.agents.sessions", "ceylon.models.resolve")
_loaded: Final[set[str]] = set()  # of those, the ones whose import has ended


def load_adapters() -> None:
    """Import the adapters, and the HTTP client under them, here and now: where nobody waits for it."""
    for module in _ADAPTERS:
        importlib.import_module(module)
        _loaded.add(module)


class Setup:
    """What an `LlmAgent` is set to now; a change takes effect with the next query."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings = settings
        self._resolved: tuple[LlmSettings, Model] | None = None
        self._checked: Model | None = None  # the model in use, with whatever stands in for it
        self._overriding: list[Model] = []
        self._at_hand: tuple[LlmSettings, Model] | None = None  # loaded and checked

    def change(self, **changes: Any) -> None:
        """Replace some settings; from any thread."""
        self.settings = self.settings.changed(**changes)

    def model(self) -> "Model":
        """Return the model the settings name, both checked; the same one for as long as they name the same.

        Raises:
            ArgumentError: a setting is out of its range.
            ModelConfigError: the model string means nothing, an option is unknown, or a key is missing.
        """
        named = self._overriding[-1] if self._overriding else self._named()
        model = stood_in(named)
        if model is not self._checked:
            model.check()
            self._checked = model
        return model

    @contextlib.contextmanager
    def overridden(self, model: "str | Model") -> Generator[None]:
        """Use *model*, whatever the settings name, until the block ends; from any thread."""
        self._overriding.append(made := LlmSettings(model=model).resolve())
        try:
            yield
        finally:
            self._overriding.remove(made)

    def _named(self) -> "Model":
        """Return the model that the settings name."""
        settings, resolved = self.settings, self._resolved
        if resolved is not None and resolved[0] is settings:
            return resolved[1]
        settings.check()
        is_same = resolved is not None and resolved[0].names_same_model(settings)
        model = resolved[1] if resolved is not None and is_same else settings.resolve()
        self._resolved = (settings, model)
        return model

    async def load(self) -> "Model":
        """Return the same; the adapters, and the HTTP client under them, are imported without holding up the loop."""
        for module in _ADAPTERS:
            if module not in _loaded:  # `sys.modules` has it from the beginning of its import on
                await anyio.to_thread.run_sync(importlib.import_module, module)
                _loaded.add(module)
        model, resolved = self.model(), self._resolved
        if resolved is not None and resolved[1] is model:
            self._at_hand = resolved
        return model

    def model_at_hand(self) -> "Model | None":
        """Return what `load` would, if it has done so for these settings before and nothing stands in for the model."""
        found = self._at_hand
        if found is None or found[0] is not self.settings or self._overriding or stand_ins:
            return None
        return found[1]
