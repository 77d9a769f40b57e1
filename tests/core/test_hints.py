from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, TypeVar

import msgspec
import pytest

from ceylon.core.hints import caller_locals, class_names, resolve_hints
from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from decimal import Decimal

F = TypeVar("F", bound=Callable[..., Any])


class Tea:
    """A class of the module."""


class Marked(NamedTuple):
    function: Callable[..., Any]
    scope: dict[str, Any]

    def hints(self) -> dict[str, Any]:
        return resolve_hints(self.function, self.scope)


def marked(function: Callable[..., Any]) -> Marked:
    return Marked(function, caller_locals(function))


def deeply_marked(function: Callable[..., Any]) -> Marked:
    def inner() -> Marked:
        return marked(function)

    return inner()


def test_names_of_the_module_and_builtins_are_found() -> None:
    def brew(tea: Tea, minutes: int = 3) -> list[str]: ...  # type: ignore[empty-body]

    assert resolve_hints(brew) == {"tea": Tea, "minutes": int, "return": list[str]}


def test_metadata_of_annotated_is_kept() -> None:
    def brew(minutes: Annotated[int, msgspec.Meta(ge=1)]) -> None: ...

    assert resolve_hints(brew) == {"minutes": Annotated[int, msgspec.Meta(ge=1)], "return": type(None)}


def test_none_as_a_default_does_not_change_the_type() -> None:
    def brew(minutes: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013 – the point of the test

    assert resolve_hints(brew)["minutes"] is int


def test_classes_local_to_a_function_are_found() -> None:
    class Cup: ...

    @marked
    def fill(cup: Cup, spares: list[Cup | None]) -> Cup: ...  # type: ignore[empty-body]

    assert fill.hints() == {"cup": Cup, "spares": list[Cup | None], "return": Cup}


def test_a_local_class_hides_one_of_the_module() -> None:
    class Tea: ...

    @marked
    def brew(tea: Tea) -> None: ...

    assert brew.hints()["tea"] is Tea


def test_the_depth_of_the_decorator_does_not_matter() -> None:
    class Cup: ...

    @deeply_marked
    def fill(cup: Cup) -> None: ...

    assert fill.hints()["cup"] is Cup


def test_the_scopes_around_a_nested_class_are_found() -> None:
    class Cup: ...

    def make() -> tuple[Marked, type]:
        class Plate: ...

        class Shop:
            class Shelf:
                class Label: ...

                @marked
                def put(self, cup: Cup, plate: Plate, label: Label) -> None: ...

        return Shop.Shelf.put, Plate

    put, plate = make()

    assert put.hints()["cup"] is Cup
    assert put.hints()["plate"] is plate
    assert put.hints()["label"].__name__ == "Label"


def test_scopes_that_only_call_are_not_searched() -> None:
    class Cup: ...

    put = _marked_elsewhere()

    with pytest.raises(DefinitionError, match="'Cup'"):
        put.hints()
    assert Cup.__name__ == "Cup"


def _marked_elsewhere() -> Marked:
    @marked
    def put(cup: Cup) -> None: ...  # type: ignore[name-defined]  # noqa: F821 – the point of the test

    return put


def test_names_in_strings_inside_of_types_are_found() -> None:
    class Cup: ...

    def fill(cup: Any, visit: Any, spare: Any) -> None: ...

    fill.__annotations__.update(cup=list["Cup"], visit=Callable[["Cup"], "list['Cup']"], spare=Optional["Cup"])
    scope = caller_locals(fill)

    assert scope == {"Cup": Cup}
    assert resolve_hints(fill, scope)["cup"] == list[Cup]
    assert resolve_hints(fill, scope)["visit"] == Callable[[Cup], list[Cup]]
    assert resolve_hints(fill, scope)["spare"] == (Cup | None)


def test_a_class_defined_later_is_found_through_the_closure() -> None:
    @marked
    def fill(cup: Cup) -> Any:
        return isinstance(cup, Cup)

    class Cup: ...

    assert fill.hints()["cup"] is Cup


def test_a_free_variable_that_is_not_yet_set_is_no_name() -> None:
    def fill(cup: Cup) -> Any:
        return isinstance(cup, Cup)

    with pytest.raises(DefinitionError, match="'Cup'"):
        resolve_hints(fill)

    class Cup: ...

    assert resolve_hints(fill)["cup"] is Cup


def test_a_class_may_name_itself_and_what_its_body_defines_later() -> None:
    class Cup:
        @marked
        def pour(self, other: Cup, handle: Handle) -> Cup: ...  # type: ignore[empty-body]

        class Handle: ...

    hints = resolve_hints(Cup.pour.function, class_names(Cup) | Cup.pour.scope)

    assert hints == {"other": Cup, "handle": Cup.Handle, "return": Cup}


def test_a_method_called_like_a_type_does_not_hide_it() -> None:
    class Shop:
        dict = None

        def list(self) -> None: ...

        @marked
        def order(self, skus: list[str], prices: dict[str, float]) -> None: ...  # type: ignore[valid-type]

    hints = resolve_hints(Shop.order.function, class_names(Shop) | Shop.order.scope)

    assert hints["skus"] == list[str]
    assert hints["prices"] == dict[str, float]


def test_an_unknown_name_is_named() -> None:
    def brew(tea: Oolong) -> None: ...  # type: ignore[name-defined]  # noqa: F821 – the point of the test

    with pytest.raises(DefinitionError, match=r"brew: its annotations name 'Oolong', which is not defined"):
        resolve_hints(brew)


def test_names_for_type_checkers_do_not_matter_when_not_asked_for() -> None:
    def price(tea: Tea) -> Decimal: ...  # type: ignore[empty-body]

    assert resolve_hints(price, names=["tea"]) == {"tea": Tea}
    with pytest.raises(DefinitionError, match="TYPE_CHECKING"):
        resolve_hints(price, names=["return"])


@pytest.mark.parametrize("annotation", ["no python", "Tea.Missing", "list[", "{}['x']", "Tea[int]"])
def test_an_annotation_that_is_no_type_is_a_definition_error(annotation: str) -> None:
    def brew(tea: Any) -> None: ...

    brew.__annotations__["tea"] = annotation

    with pytest.raises(DefinitionError, match="its annotations cannot be read"):
        resolve_hints(brew, caller_locals(brew))


def test_a_wrapped_function_resolves_where_the_inner_one_was_written() -> None:
    class Cup: ...

    def traced(function: F) -> F:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

        return call  # type: ignore[return-value]

    @marked
    @traced
    def fill(cup: Cup) -> None: ...

    assert fill.hints()["cup"] is Cup


def test_only_the_names_in_the_annotations_are_kept() -> None:
    class Cup: ...

    class Big: ...

    def define() -> tuple[Marked, weakref.ref[Big]]:
        big = Big()

        @marked
        def fill(cup: Cup) -> None: ...

        return fill, weakref.ref(big)

    fill, gone = define()
    gc.collect()

    assert fill.scope == {"Cup": Cup}
    assert gone() is None


def test_annotations_that_are_types_already_need_no_scope() -> None:
    def fill(cup: Any) -> None: ...

    fill.__annotations__ = {"cup": Tea}

    assert caller_locals(fill) == {}


def test_a_callable_without_code_has_no_annotations() -> None:
    assert caller_locals(print) == {}
    assert resolve_hints(print) == {}


def test_annotations_that_are_made_when_read_may_come_later() -> None:
    class Lazy:
        """Reads its annotations as a function of Python 3.14 does."""

        @property
        def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
            return {"tea": cup}

        def __call__(self) -> None: ...

    lazy = Lazy()

    assert caller_locals(lazy) == {}
    with pytest.raises(DefinitionError, match="'cup'"):
        resolve_hints(lazy)

    cup = Tea

    assert resolve_hints(lazy) == {"tea": Tea}
