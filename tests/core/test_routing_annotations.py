"""Which handler takes which message, where every annotation is text."""

from __future__ import annotations

from typing import Any

import pytest

from ceylon import Agent, BlockingContext, Context, Mesh, Message, on
from ceylon.errors import DefinitionError


class Mug(Message[Any]):
    size: int


class Coaster(Message):
    size: int


class Cupboard(Agent):
    @on
    async def put(self, cup: Mug, context: Context) -> Coaster:
        return Coaster(cup.size)

    @on
    def put_one_of(self, thing: str | bytes, context: BlockingContext) -> str:
        return f"{type(thing).__name__} from {context.sender or 'outside'}"

    async def on_message(self, message: Any) -> str:
        return "rest"


async def test_annotations_of_the_module_are_read(mesh: Mesh) -> None:
    cupboard = mesh.add(Cupboard("cupboard"))

    assert await cupboard.ask(Mug(3)) == Coaster(3)
    assert await cupboard.ask("plate") == "str from outside"
    assert await cupboard.ask(b"plate") == "bytes from outside"
    assert await cupboard.ask(5) == "rest"


async def test_classes_local_to_a_function_are_found(mesh: Mesh) -> None:
    class Plate: ...

    class Rack(Agent):
        @on
        async def put(self, plate: Plate | None) -> str:
            return type(plate).__name__

    rack = mesh.add(Rack("rack"))

    assert await rack.ask(Plate()) == "Plate"
    assert await rack.ask(None) == "NoneType"


async def test_messages_nested_in_the_agents_class_are_found(mesh: Mesh) -> None:
    class Rack(Agent):
        class Take(Message[str]):
            what: str

        @on
        async def take(self, wish: Take) -> str:
            return wish.what

    rack = mesh.add(Rack("rack"))

    assert await rack.ask(Rack.Take("plate")) == "plate"


async def test_a_class_defined_later_is_found(mesh: Mesh) -> None:
    class Rack(Agent):
        @on
        async def put(self, bowl: Bowl) -> str:
            return "put"

    rack = mesh.add(Rack("rack"))

    assert await rack.ask(Bowl()) == "put"


class Bowl: ...


def test_two_handlers_for_one_type_are_refused() -> None:
    with pytest.raises(DefinitionError, match="both take Mug"):

        class Rack(Agent):
            @on
            def put(self, cup: Mug) -> None: ...

            @on
            def take(self, cup: Coaster | Mug) -> None: ...


async def test_an_annotation_only_for_type_checkers_is_no_hindrance_behind_the_message(mesh: Mesh) -> None:
    class Rack(Agent):
        @on
        async def put(self, cup: Mug, context: Nowhere = None) -> int:  # type: ignore[name-defined]  # noqa: F821 – the point
            return cup.size

    rack = mesh.add(Rack("rack"))

    assert await rack.ask(Mug(3)) == 3
