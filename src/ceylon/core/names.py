"""What an agent may be called, and how an address is read."""

import re
from typing import Final

from ceylon.errors import InvalidNameError
from ceylon.settings import DEFAULTS

__all__ = ["check_address", "check_name", "family_name", "split_key"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RULE: Final = (
    "1 to 64 of A-Z a-z 0-9 _ . - and the first a letter or digit "
    "('/' separates a key, '$' starts the mesh's own addresses)"
)


def check_name(name: object) -> str:
    """Return *name* if an agent may be called so.

    Raises:
        InvalidNameError: it may not; the sentence shows the rule.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidNameError(name, _RULE)
    return name


def family_name(cls: type) -> str:
    """Return what a family or a pool of *cls* is called by default: ``TeaShop`` is ``"tea_shop"``.

    Raises:
        InvalidNameError: the class's own name could never be an agent's; name the family.
    """
    return check_name(_CAPITAL.sub("_", cls.__name__).lower().strip("_"))


def split_key(address: str) -> tuple[str, str]:
    """Return the agent's name and the key behind the first ``/`` (empty: none)."""
    name, _, key = address.partition("/")
    return name, key


def check_address(address: object) -> str:
    """Return *address* if the router could know it: a name, perhaps with ``/`` and a key of up to 256 characters."""
    if not isinstance(address, str):
        raise InvalidNameError(address, _RULE)
    if _NAME.fullmatch(address) is not None:  # a plain name, as nearly all are
        return address
    whole, (name, slash, key) = address, address.partition("/")
    if slash and not 1 <= len(key) <= DEFAULTS.conversation_key:
        raise InvalidNameError(address, f"a key has 1 to {DEFAULTS.conversation_key} characters")
    base, dollar, number = name.partition("$")
    if dollar and number.isdigit():  # a private address in the default mesh
        name = base
    if _NAME.fullmatch(name) is None:
        raise InvalidNameError(whole, _RULE)
    return address
