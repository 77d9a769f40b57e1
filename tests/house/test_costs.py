"""tell, ask and their like cost no more bytecodes than they did; times would say so only on a quiet machine."""

import pytest

from support.costs import VERSION, Costs, compare, count, read_table

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def counted() -> Costs:
    """What everything costs now."""
    costs: Costs = count()
    return costs


def test_nothing_costs_more_than_it_did(counted: Costs) -> None:
    found = compare(read_table().get(VERSION, {}), counted)

    assert not found, "\n".join(found)


def test_counting_again_gives_the_same_figures(counted: Costs) -> None:
    again = count("tell", "ask", "stream part")

    assert again == {name: counted[name] for name in again}


def test_a_call_more_for_every_delivery_is_found(counted: Costs) -> None:
    dearer = count("--planted", "tell", "ask")

    found = compare({name: counted[name] for name in dearer}, dearer)

    assert [line.partition(":")[0] for line in found if "it costs more" in line and " calls" in line] == ["tell", "ask"]


def test_five_calls_more_for_every_request_to_a_model_are_found(counted: Costs) -> None:
    dearer = count("--planted", "query")

    found = compare({"query": counted["query"]}, dearer)

    assert any("it costs more" in line and " calls" in line for line in found)


def test_a_cost_that_has_grown_is_named_with_its_figures() -> None:
    [line] = compare({"tell": {"bytecodes": 400.0, "calls": 20.0}}, {"tell": {"bytecodes": 420.0, "calls": 20.1}})

    assert line == "tell: 420 bytecodes, 400 allowed (+20.00, +5.0%): it costs more than it did"


def test_a_cost_that_has_fallen_far_asks_for_a_lower_figure() -> None:
    [line] = compare({"tell": {"bytecodes": 400.0, "calls": 20.0}}, {"tell": {"bytecodes": 300.0, "calls": 19.0}})

    assert line.startswith("tell: 300 bytecodes, 400 allowed (-100.00, -25.0%)")
    assert "scripts/costs --write" in line


def test_a_python_without_figures_says_how_to_get_them(counted: Costs) -> None:
    [line] = compare({}, counted)

    assert "scripts/costs --write" in line


def test_every_supported_python_has_figures_for_the_same_things() -> None:
    table = read_table()

    assert [*table] == ["3.11", "3.12", "3.13"]
    assert len({tuple(costs) for costs in table.values()}) == 1
