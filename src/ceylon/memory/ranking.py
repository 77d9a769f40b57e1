"""The order of an answer: by words, by meaning, or by both."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeVar

from ceylon.memory.entries import Entry, Query, Recalled
from ceylon.memory.vectors import pack, similarities

__all__ = ["by_meaning", "by_score", "fused", "has_words", "rank"]

_RANK_OFFSET: Final = 60  # of reciprocal rank fusion (Cormack, Clarke, Büttcher 2009)

_Name = TypeVar("_Name", bound=Hashable)


def has_words(query: Query) -> bool:
    """Say whether *query* looks for words."""
    return bool(query.text.strip())


def rank(
    query: Query,
    newest_first: Sequence[Entry],
    vectors: Mapping[str, bytes],
    found: Mapping[str, float],
) -> tuple[Recalled, ...]:
    """Return the best of entries that meet the query's conditions.

    Args:
        query: What is looked for.
        newest_first: The entries.
        vectors: Their vectors by id, where they have one, as `pack` makes them.
        found: A score by id for those that have the words; others' scores do no harm.
    """
    if not has_words(query) and query.vector is None:
        return tuple(Recalled(entry, 0.0) for entry in newest_first[: query.limit])
    rankings: list[list[str]] = []
    if has_words(query):
        rankings.append(by_score({entry.id: found[entry.id] for entry in newest_first if entry.id in found}))
    if query.vector is not None:
        ids = [entry.id for entry in newest_first if entry.id in vectors]
        rankings.append(by_meaning(query, ids, [vectors[each] for each in ids]))
    best = list(fused(*rankings).items())[: query.limit]
    by_id = {entry.id: entry for entry in newest_first}
    return tuple(Recalled(by_id[name], score) for name, score in best)


def by_meaning(query: Query, names: Sequence[_Name], vectors: Sequence[bytes]) -> list[_Name]:
    """Return *names* in the order in which their vectors are near the query's, without those that are not."""
    cosines = zip(names, similarities(pack(query.vector or ()), vectors), strict=True)
    return by_score({name: cosine for name, cosine in cosines if cosine is not None and cosine >= query.similarity})


def by_score(scores: Mapping[_Name, float]) -> list[_Name]:
    """Return the names, highest score first; equals in their order."""
    return sorted(scores, key=lambda name: -scores[name])


def fused(*rankings: Sequence[_Name]) -> dict[_Name, float]:
    """Return a score for each name in any of *rankings*: better the higher it stands, and in the more; best first."""
    scores: defaultdict[_Name, float] = defaultdict(float)
    for ranking in rankings:
        for place, name in enumerate(ranking, 1):
            scores[name] += 1 / (_RANK_OFFSET + place)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))
