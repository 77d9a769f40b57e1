import pytest
from hypothesis import given
from hypothesis import strategies as some

from ceylon.agents.docstrings import read_docstring

GOOGLE = """Sell packets of a tea.

    The stock goes down.

    Args:
        sku: What to sell, by
            its number: see the catalogue.
        quantity (int, optional): How many packets.

            At least one.
        labels (dict[str, tuple(int, ...)]): Stuck on.
        *rest: Ignored.

    Returns:
        The price.
    """

NUMPY = """Sell packets of a tea.

    The stock goes down.

    Parameters
    ----------
    sku : str
        What to sell, by
        its number: see the catalogue.
    quantity, count : int, optional
        How many packets.

        At least one.
    bare
        No type.

    Returns
    -------
    float
        The price.
    """

REST = """Sell packets of a tea.

    The stock goes down.

    :param sku: What to sell, by
        its number: see the catalogue.
    :type sku: str
    :param int quantity: How many packets.
    :param dict[str, int] labels: Stuck on.
    :returns: The price.

    See the catalogue.
    """


def test_google_style_is_understood() -> None:
    description, parameters = read_docstring(GOOGLE)

    assert description == "Sell packets of a tea.\n\nThe stock goes down.\n\nReturns:\n    The price."
    assert parameters == {
        "sku": "What to sell, by its number: see the catalogue.",
        "quantity": "How many packets. At least one.",
        "labels": "Stuck on.",
        "rest": "Ignored.",
    }


def test_numpy_style_is_understood() -> None:
    description, parameters = read_docstring(NUMPY)

    assert description.startswith("Sell packets of a tea.\n\nThe stock goes down.\n\nReturns\n-------\nfloat")
    assert parameters == {
        "sku": "What to sell, by its number: see the catalogue.",
        "quantity": "How many packets. At least one.",
        "count": "How many packets. At least one.",
        "bare": "No type.",
    }


def test_rest_style_is_understood() -> None:
    description, parameters = read_docstring(REST)

    assert description == (
        "Sell packets of a tea.\n\nThe stock goes down.\n\n:returns: The price.\n\nSee the catalogue."
    )
    assert parameters == {
        "sku": "What to sell, by its number: see the catalogue.",
        "quantity": "How many packets.",
        "labels": "Stuck on.",
    }


@pytest.mark.parametrize("heading", ["Args", "Arguments", "Parameters", "Keyword Args", "Other Parameters"])
def test_the_names_of_a_google_section_are_understood(heading: str) -> None:
    assert read_docstring(f"Sell.\n\n{heading}:\n  sku: A tea.") == ("Sell.", {"sku": "A tea."})


@pytest.mark.parametrize("text", [None, "", "   \n "])
def test_no_docstring_says_nothing(text: str | None) -> None:
    assert read_docstring(text) == ("", {})


@pytest.mark.parametrize(
    "text",
    [
        "Sell a tea.",
        "Args are given in order.",
        "Note: args: are not a section.",
        "Parameters\nare many.",
        "Keep\n----\n\na heading",
    ],
)
def test_prose_stays_as_it_is(text: str) -> None:
    assert read_docstring(text) == (text, {})


def test_a_section_that_ends_the_docstring_may_be_empty() -> None:
    assert read_docstring("Sell.\n\nArgs:") == ("Sell.", {})
    assert read_docstring("Sell.\n\nParameters\n----------") == ("Sell.", {})


def test_a_parameter_without_a_text_is_left_out() -> None:
    assert read_docstring("Sell.\n\nArgs:\n  sku:\n  quantity: How many.") == ("Sell.", {"quantity": "How many."})


def test_a_line_that_is_no_entry_goes_on_with_the_one_before() -> None:
    assert read_docstring("Sell.\n\nArgs:\n  sku: A tea\n  of ours.") == ("Sell.", {"sku": "A tea of ours."})


@given(some.text(alphabet=":-*() ,\n\tArgsParametersparam", max_size=200))
def test_any_text_can_be_read_and_nothing_is_added_to_it(text: str) -> None:
    description, parameters = read_docstring(text)

    assert set(description.split()) <= set(text.split())
    assert all(words in text for about in parameters.values() for words in about.split())
