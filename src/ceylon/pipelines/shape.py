"""How a function of a pipeline is called."""

import msgspec

__all__ = ["Shape"]


class Shape(msgspec.Struct, frozen=True):
    """How a function is called.

    `first` and `second` name the parameters that may be given by position; `takes_flow` says that the first wants an
    async iterator, `is_known` that the function says what it takes at all.
    """

    is_async: bool = False
    yields: bool = False
    first: str = ""
    second: str = ""
    takes_context: bool = False
    takes_flow: bool = False
    is_known: bool = True
