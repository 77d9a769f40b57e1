"""What a memory keeps and is asked for, as values."""

from typing import Any, Literal, TypeAlias, get_args

import msgspec

__all__ = ["OPERATORS", "Entry", "Note", "Operator", "Query", "Recalled", "Scalar", "Where"]

Scalar: TypeAlias = str | int | float | bool
"""What a key of the metadata may hold; whole numbers up to 64 bits."""

Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
"""The closed set of comparisons: there are no others, in no store."""

OPERATORS: tuple[str, ...] = get_args(Operator)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be remembered.

    Attributes:
        text: The words.
        metadata: Facts to choose by later.
        source: Where it comes from: a file, an address, an agent.
        is_trusted: Whether whoever wrote it may tell agents what to do. What users, models or the web say is not.
        ttl: Seconds until it is forgotten; `None`: never.
        id: Its name, to be replaced or forgotten by; empty: a new one.
        vector: Its embedding, if it is to be found by meaning.
    """

    text: str
    metadata: dict[str, Scalar] = {}
    source: str = ""
    is_trusted: bool = False
    ttl: float | None = None
    id: str = ""
    vector: tuple[float, ...] | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A note that was remembered; times are seconds since 1970."""

    id: str
    namespace: str
    text: str
    metadata: dict[str, Scalar] = {}
    source: str = ""
    is_trusted: bool = False
    created: float = 0.0
    expires: float | None = None


class Where(msgspec.Struct, frozen=True):
    """A condition on the metadata.

    An entry without the key meets none, not even ``!=``. Numbers compare with numbers and text with text; truth values
    are equal or not. ``in`` takes a tuple.
    """

    key: str
    operator: Operator
    value: Any  # Scalar | tuple[Scalar, ...]; checked by `Rules`, which says what is wrong


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; with neither words nor a vector, the newest entries.

    Attributes:
        text: Words; an entry with one of them is found, those with more and rarer ones first.
        vector: A meaning; the nearest entries are found.
        where: Conditions, all of which an entry must meet.
        limit: The most entries of the answer.
        similarity: The least cosine with `vector` that counts as near; from -1 to 1.
    """

    text: str = ""
    vector: tuple[float, ...] | None = None
    where: tuple[Where, ...] = ()
    limit: int = 5
    similarity: float = 0.0


class Recalled(msgspec.Struct, frozen=True):
    """An entry that was found; a higher score is nearer, and means something only beside the others of one answer."""

    entry: Entry
    score: float
