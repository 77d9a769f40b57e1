"""Keep keys out of what is written down: the ones that are known, and whatever looks like one."""

import os
import re
from collections.abc import Iterable
from typing import Any, Final

from ceylon.models.fallback import FallbackModel
from ceylon.models.secret import MASK, Secret, mask
from ceylon.testing.outline import is_items, is_mapping

__all__ = ["Masking"]

_VARIABLE: Final = re.compile(r"(?i)(^|_)(api_?key|key|token|secret|password|passwd|credentials?)s?($|_)")
_FIELD: Final = re.compile(
    r"(?i)(.*[_-])?(api[_-]?key|authorization|cookie|set-cookie|access[_-]?token|refresh[_-]?token|auth[_-]?token"
    r"|secret|client[_-]?secret|password|passwd|private[_-]?key|credentials?)|token"
)
_SHORTEST: Final = 8  # of what is taken for a key because of its variable's name: `KEY_LAYOUT=us` is none
_USER: Final = re.compile(r"(?<=://)[^/\s@:]+(:[^/\s@]*)?(?=@)")
_TOKEN: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # a signed web token (JWT)


class Masking:
    """Masks by value what it was told of and what the environment holds, and by shape the rest."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values = {*(each for each in secrets if each), *_of_environment()}

    def learn(self, holder: object) -> None:
        """Take note of the secrets that *holder*, a model, has among its attributes."""
        if isinstance(holder, FallbackModel):
            for model in holder.models:
                self.learn(model)
        for each in _attributes(holder):
            if isinstance(each, Secret) and each.reveal():
                self._values.add(each.reveal())

    def apply(self, value: Any) -> Any:
        """Return plain data without secrets."""
        if isinstance(value, str):
            return self._text(value)
        if is_mapping(value):
            return {self._text(key): self._field(key, each) for key, each in value.items()}
        return [self.apply(each) for each in value] if is_items(value) else value

    def _field(self, key: str, value: Any) -> Any:
        return MASK if isinstance(value, str) and value and _FIELD.fullmatch(key) else self.apply(value)

    def _text(self, text: str) -> str:
        for each in sorted(self._values, key=len, reverse=True):  # one may begin with another
            text = text.replace(each, MASK)
        return mask(_TOKEN.sub(MASK, _USER.sub(MASK, text)))


def _of_environment() -> set[str]:
    return {value for name, value in os.environ.items() if len(value) >= _SHORTEST and _VARIABLE.search(name)}


def _attributes(holder: object) -> list[object]:
    names = {*getattr(holder, "__struct_fields__", ()), *getattr(holder, "__dict__", ())}
    return [getattr(holder, name, None) for name in sorted(names)]
