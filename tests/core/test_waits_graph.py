"""The rule that refuses waits, against brute force: every order in which the handlers could end."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceylon.core.waits import can_end, cycle

Graph: TypeAlias = Mapping[int, Sequence[Sequence[int]]]

graphs = st.integers(1, 7).flatmap(
    lambda size: st.fixed_dictionaries(
        {node: st.lists(st.lists(st.integers(0, size - 1), min_size=1, max_size=3), max_size=2) for node in range(size)}
    )
)


def ends_in_some_order(graph: Graph, origin: int) -> bool:
    """Let whatever can end do so, in every order; say whether *origin* ever does."""
    reached, to_visit = {frozenset[int]()}, [frozenset[int]()]
    while to_visit:
        ended = to_visit.pop()
        if origin in ended:
            return True
        for node, groups in graph.items():
            following = ended | {node}
            if following not in reached and all(set(group) & ended for group in groups):
                reached.add(following)
                to_visit.append(following)
    return False


def ask(graph: Graph, origin: int, wanted: Sequence[Sequence[int]]) -> bool:
    return can_end(origin, wanted, lambda node: graph[node])


@pytest.mark.big
@settings(max_examples=2_000, derandomize=True, deadline=None, database=None)
@given(graph=graphs)
def test_the_rule_agrees_with_every_order_of_events(graph: Graph) -> None:
    wanted = graph[0]

    assert ask({**graph, 0: []}, 0, wanted) == ends_in_some_order(graph, 0)


@settings(max_examples=500, derandomize=True, deadline=None, database=None)
@given(graph=graphs)
def test_a_refused_wait_has_a_path_of_nodes_that_wait_for_each_other(graph: Graph) -> None:
    rest = {**graph, 0: []}
    if ask(rest, 0, graph[0]):
        return

    path = cycle(0, graph[0], lambda node: rest[node])

    assert path
    for node, following in zip([0, *path], path, strict=False):
        assert any(following in group for group in graph[node]) or (node, following) == (0, 0)


def test_an_agent_with_a_slot_that_will_be_free_is_worth_waiting_for() -> None:
    graph = {0: [], 1: [[0]], 2: [], 3: [[0]]}

    assert ask(graph, 0, [[1, 2]])  # 1 waits for the asker, 2 for nobody
    assert not ask(graph, 0, [[1, 3]])
    assert not ask(graph, 0, [[2], [1]])  # all waits of a handler have to end


@pytest.mark.big
def test_a_million_waits_without_a_cycle_are_all_allowed() -> None:
    chance = random.Random(7)  # noqa: S311 – no secret
    size, rounds = 60, 20_000
    graph: dict[int, list[list[int]]] = {node: [] for node in range(size)}
    asked = 0
    for _ in range(rounds):
        for node in range(size - 1):  # every edge leads to a higher number, so there is no cycle
            group = [chance.randrange(node + 1, size)]
            asked += 1
            assert can_end(node, [group], lambda it: graph[it])
            graph[node] = [group] if chance.random() < 0.8 else []
        if asked >= 1_000_000:
            break
    assert asked >= 1_000_000


def test_a_detector_that_finds_nothing_is_found_out_by_brute_force() -> None:
    def blind(origin: int, wanted: Sequence[Sequence[int]]) -> bool:
        return True

    ring: Graph = {0: [[1]], 1: [[2]], 2: [[0]]}

    assert ends_in_some_order(ring, 0) is False
    assert blind(0, ring[0]) is not ends_in_some_order(ring, 0)
