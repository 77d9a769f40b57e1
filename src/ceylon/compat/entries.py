"""What is kept in a memory, and what is looked for, as `ceylonai-next` spells them: values that are built in steps."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from ceylon.compat.checking import as_json, text_in, whole

__all__ = ["MemoryEntry", "MemoryQuery", "PyMemoryEntry", "PyMemoryQuery"]


class PyMemoryEntry:
    """An entry of a memory. The methods change it and return it; what a memory keeps is a copy.

    Args:
        content: The text.
    """

    def __init__(self, content: str) -> None:
        self._content = text_in("content", content)
        self._id = str(uuid.uuid4())
        self._created = datetime.now(UTC)
        self._expires: datetime | None = None
        self._metadata: dict[str, Any] = {}

    @classmethod
    def __ceylon_kept__(cls, facts: "tuple[str, str, datetime, datetime | None, dict[str, Any]]") -> Self:
        """Return the entry that was kept: id, content, when it was made and expires, metadata."""
        made = cls.__new__(cls)
        made._id, made._content, made._created, made._expires, made._metadata = facts  # noqa: SLF001 – its own class
        return made

    def __repr__(self) -> str:
        return f"MemoryEntry(id={self._id!r}, content={self._content!r}, metadata={self._metadata!r})"

    @property
    def id(self) -> str:
        """Its name, made by itself."""
        return self._id

    @property
    def content(self) -> str:
        """The text."""
        return self._content

    @property
    def created_at(self) -> str:
        """When it was made: ISO 8601, in UTC."""
        return self._created.isoformat()

    @property
    def expires_at(self) -> str | None:
        """When it is forgotten: ISO 8601, in UTC; `None`: never."""
        return None if self._expires is None else self._expires.isoformat()

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts to choose by; a copy."""
        return json.loads(json.dumps(self._metadata))  # type: ignore[no-any-return]

    def is_expired(self) -> bool:
        """Say whether its time is over."""
        return self._expires is not None and self._expires <= datetime.now(UTC)

    def with_metadata(self, key: str, value: Any) -> Self:
        """Add a fact; *value* is what JSON can hold.

        Raises:
            TypeError: JSON cannot hold it.
        """
        self._metadata[text_in("key", key)] = as_json(value)
        return self

    def with_ttl_seconds(self, seconds: int) -> Self:
        """Let it be forgotten in so many seconds from now."""
        self._expires = datetime.now(UTC) + timedelta(seconds=whole("seconds", seconds))
        return self


class PyMemoryQuery:
    """What is looked for: entries with certain metadata, the newest first. The methods change it and return it."""

    def __init__(self) -> None:
        self._filters: dict[str, Any] = {}
        self._limit: int | None = None
        self._text = ""

    @classmethod
    def __ceylon_words__(cls, text: str, limit: int) -> Self:
        """Return a query for what fits *text*: what a model looks for."""
        made = cls().with_limit(limit)
        made._text = text  # noqa: SLF001 – its own class
        return made

    def __repr__(self) -> str:
        return f"MemoryQuery(filters={self._filters!r}, limit={self._limit!r})"

    @property
    def filters(self) -> dict[str, Any]:
        """What the metadata of an entry must hold; a copy. For memories of one's own."""
        return dict(self._filters)

    @property
    def limit(self) -> int | None:
        """The most entries of the answer; `None`: all. For memories of one's own."""
        return self._limit

    @property
    def text(self) -> str:
        """What a model looks for; empty where a program asks. For memories of one's own."""
        return self._text

    def with_filter(self, key: str, value: Any) -> Self:
        """Look only at entries whose metadata holds *value* under *key*."""
        self._filters[text_in("key", key)] = as_json(value)
        return self

    def with_limit(self, limit: int) -> Self:
        """Let the answer have so many entries at most."""
        self._limit = whole("limit", limit)
        return self


MemoryEntry = PyMemoryEntry
MemoryQuery = PyMemoryQuery
