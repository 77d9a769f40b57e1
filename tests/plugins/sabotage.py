"""Break one rule of the core on purpose, by its name in `$CEYLON_SABOTAGE`: to see that the tests notice."""

import os
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ceylon.core import handlers
from ceylon.core.router import Router
from ceylon.core.topic_index import TopicIndex
from ceylon.messages import Outcome

__all__ = ["RULES", "pytest_configure"]


def _run_sync_handlers_on_the_loop() -> None:
    make = handlers.make_handler

    def make_inline(*arguments: Any, **options: Any) -> handlers.Handler:
        return msgspec.structs.replace(make(*arguments, **options), threaded=False)

    handlers.make_handler = make_inline


def _lose_replies() -> None:
    reply = Router.reply
    Router.reply = lambda self, envelope, outcome: reply(self, envelope, Outcome())  # type: ignore[method-assign]


def _hear_no_topic() -> None:
    TopicIndex.find = lambda self, topic, words: []  # type: ignore[method-assign]


RULES: Final[dict[str, Callable[[], None]]] = {
    "a topic reaches its subscribers": _hear_no_topic,
    "a reply reaches its asker": _lose_replies,
    "a sync handler runs in a thread": _run_sync_handlers_on_the_loop,
}


def pytest_configure() -> None:
    """Break the rule, before any agent class is made."""
    rule = os.environ.get("CEYLON_SABOTAGE")
    if rule:
        RULES[rule]()
