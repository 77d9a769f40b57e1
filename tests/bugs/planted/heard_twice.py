"""A subscriber gets a message once for each of its patterns that match.

As with brokers whose overlapping subscriptions each deliver.
"""

import contextlib
from collections.abc import Generator

import pytest

from ceylon.core.publication import Publication
from ceylon.core.publishing import Publisher
from ceylon.core.topics import words_of


@contextlib.contextmanager
def plant() -> Generator[None]:
    def broken(self: Publisher, topic: str, publication: Publication) -> None:
        for place in self._subscriptions.index.find(topic, words_of(topic)):
            for address, member in place.each.items():
                publication.offer(address, waits=member.waits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "_publish", broken)
        yield
