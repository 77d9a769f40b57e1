"""What type checkers are told of pipelines costs a program nothing, and is what the words really take."""

import ast
import copy
import gc
import importlib
import inspect
import pickle
import typing
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ceylon import Agent, Pipeline, Ref, pipeline
from ceylon.pipelines import building, each
from ceylon.pipelines.value import BlockingPipeline

TYPED = ("sequence", "sides", "words")


def shout(text: str) -> str:
    return text.upper()


class Shouting(Pipeline[str, str]):
    """A user's own."""


def test_a_pipeline_with_its_types_is_an_annotation() -> None:
    def run(built: Pipeline[int, str], blocking: BlockingPipeline[int, str]) -> Pipeline[int, list[str]]:
        raise NotImplementedError

    hints = typing.get_type_hints(run)
    assert typing.get_args(hints["built"]) == (int, str)
    assert typing.get_origin(hints["built"]) is Pipeline
    assert typing.get_args(hints["blocking"]) == (int, str)


def test_what_it_gives_may_be_left_out_as_for_type_checkers() -> None:
    assert Pipeline[str] == Pipeline[str, Any]
    assert BlockingPipeline[str] == BlockingPipeline[str, Any]
    assert typing.get_args(Pipeline["str"]) == (typing.ForwardRef("str"), Any)


def test_its_types_leave_the_value_as_it_was() -> None:
    built = pipeline(shout)

    assert not hasattr(built, "__dict__")
    assert isinstance(built, Pipeline)
    assert copy.deepcopy(built) == pickle.loads(pickle.dumps(built)) == built  # noqa: S301 – our own
    assert type(pickle.loads(pickle.dumps(built))) is Pipeline  # noqa: S301 – our own
    gone = weakref.ref(built)
    del built
    gc.collect()
    assert gone() is None


def test_a_class_of_ones_own_names_the_types() -> None:
    built = Shouting(pipeline(shout).__ceylon_root__)

    assert built == pipeline(shout)
    assert built.blocking.run("tea") == "TEA"


@pytest.mark.parametrize("cls", [Agent, Ref, Shouting])
def test_what_has_no_types_of_its_own_takes_none(cls: Any) -> None:
    for given in (int, (int, str)):
        with pytest.raises(TypeError):
            cls[given]


@pytest.mark.parametrize("given", [(), (int, int, int)])
def test_a_pipeline_has_two_types(given: Any) -> None:
    cls: Any = Pipeline

    with pytest.raises(TypeError, match="arguments"):
        cls[given]


@pytest.mark.parametrize("word", building.__all__)
def test_a_word_has_one_meaning(word: str) -> None:
    [home] = [each for each in map(module_of, TYPED) if word in each.__all__]
    assert getattr(home, word) is getattr(building, word)


# -- are type checkers told the truth? ---------------------------------------------------------------------------------


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"ceylon.pipelines.typed.{name}")


def lies_in(source: str) -> list[str]:
    """Return what a typed module says of parameters that is not so."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    words = [node for node in functions if node.name in building.__all__]
    assert words
    return [f"{node.name}:{node.lineno}" for node in words if not is_true(node)]


def is_true(node: ast.FunctionDef) -> bool:
    parameters = inspect.signature(getattr(building, node.name)).parameters
    if not node.decorator_list:  # the one that stands for all: letter by letter
        return names_of(node) == [(name, parameter.kind) for name, parameter in parameters.items()]
    takes_any = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values())
    named = [each.arg for each in (*node.args.args, *node.args.kwonlyargs)]
    return set(named) <= set(parameters) and (takes_any or not node.args.posonlyargs)


def names_of(node: ast.FunctionDef) -> list[tuple[str, Any]]:
    kinds, arguments = inspect.Parameter, node.args
    found: list[tuple[str, Any]] = [(each.arg, kinds.POSITIONAL_ONLY) for each in arguments.posonlyargs]
    found += [(each.arg, kinds.POSITIONAL_OR_KEYWORD) for each in arguments.args]
    found += [(arguments.vararg.arg, kinds.VAR_POSITIONAL)] if arguments.vararg else []
    found += [(each.arg, kinds.KEYWORD_ONLY) for each in arguments.kwonlyargs]
    return found + ([(arguments.kwarg.arg, kinds.VAR_KEYWORD)] if arguments.kwarg else [])


def source_of(name: str) -> str:
    return Path(inspect.getfile(module_of(name))).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TYPED)
def test_type_checkers_are_told_of_the_parameters_that_there_are(name: str) -> None:
    assert lies_in(source_of(name)) == []


@pytest.mark.parametrize(
    ("name", "truth", "lie"),
    [
        ("words", "ordered: bool = ...", "sorted: bool = ..."),
        ("words", "def timeout(step: Any, seconds: float)", "def timeout(step: Any, minutes: float)"),
        ("sides", "on: On = Exception", "when: On = Exception"),
        ("sequence", "*stages: Any, name: Name = None", "stages: Any, name: Name = None"),
    ],
)
def test_a_parameter_that_is_not_there_is_found(name: str, truth: str, lie: str) -> None:
    assert truth in source_of(name)
    assert lies_in(source_of(name).replace(truth, lie))


def test_the_word_each_can_be_called_as_it_is_typed() -> None:
    assert each(shout, 2, ordered=False, on_failure="keep").blocking.run(["a"]) == ["A"]
