"""What tests that break the core on purpose share."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["replaced", "silent_log"]


@contextlib.contextmanager
def replaced(owner: type, name: str, broken: Callable[..., Any]) -> Iterator[None]:
    """Let *owner* have *broken* under *name* until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, broken)
        yield


@contextlib.contextmanager
def silent_log() -> Iterator[None]:
    """Let handlers fail without a word until the block ends."""
    log = logging.getLogger("ceylon")
    was_disabled, log.disabled = log.disabled, True
    yield
    log.disabled = was_disabled
