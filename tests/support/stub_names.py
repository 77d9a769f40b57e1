"""The names of a package and how they are called, as data: no bodies, no types, no words.

    python -m support.stub_names path/to/__init__.pyi    # of a stub
    python -m support.stub_names --import ceylon         # of what is installed, where there is no stub

Both print what is kept in `tests/compat`. The second runs with the other package's interpreter, and needs this file
only.
"""

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Names", "parameters_of", "parameters_of_text", "stub_names"]

Names = dict[str, Any]
"""By name: its kind (class, function, alias), and what belongs to that: bases, members, parameters, what it is of."""

_DROPPED = {"T", "ActionFunc", "__all__"}  # of a stub: what types are called in it


def stub_names(text: str) -> Names:
    """Return the names in the text of a stub."""
    return dict(sorted(_named(ast.parse(text).body)))


def _named(statements: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for statement in statements:
        match statement:
            case ast.ClassDef(name=name, bases=bases, body=body):
                shown = sorted(ast.unparse(base) for base in bases)
                yield name, {"kind": "class", "bases": shown, "members": dict(sorted(_members(body)))}
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield statement.name, {"kind": "function", **_call(statement)}
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=other)) if name not in _DROPPED:
                yield name, {"kind": "alias", "of": other}
            case _:
                pass


def _members(statements: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for statement in statements:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                marks = {ast.unparse(mark) for mark in statement.decorator_list}
                kind = "property" if "property" in marks else "static" if "staticmethod" in marks else "method"
                yield statement.name, {"kind": kind, **(_call(statement) if kind != "property" else {})}
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, {"kind": "attribute"}
            case _:
                pass


def _call(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    is_async = isinstance(function, ast.AsyncFunctionDef)
    return {"async": is_async, "parameters": list(_parameters(function.args))}


def _parameters(arguments: ast.arguments) -> Iterator[list[str | None]]:
    """Yield name, kind and default of each parameter, but for `self` and `cls`."""
    by_position = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(by_position) - len(arguments.defaults)) + [
        ast.unparse(each) for each in arguments.defaults
    ]
    for number, (each, default) in enumerate(zip(by_position, defaults, strict=True)):
        if number or each.arg not in {"self", "cls"}:
            yield [each.arg, "plain", default]
    if arguments.vararg:
        yield [arguments.vararg.arg, "rest", None]
    for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield [each.arg, "named", None if value is None else ast.unparse(value)]
    if arguments.kwarg:
        yield [arguments.kwarg.arg, "options", None]


# -- of what is installed ----------------------------------------------------------------------------------------------

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "plain",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "plain",
    inspect.Parameter.VAR_POSITIONAL: "rest",
    inspect.Parameter.KEYWORD_ONLY: "named",
    inspect.Parameter.VAR_KEYWORD: "options",
}


def parameters_of(function: Any) -> list[list[str | None]]:
    """Return name, kind and default of each parameter of *function*, but for `self` and `cls`."""
    declared = [
        [each.name, _KINDS[each.kind], None if each.default is each.empty else repr(each.default)]
        for each in inspect.signature(function).parameters.values()
    ]
    return declared[1:] if declared and declared[0][0] in {"self", "cls"} else declared


def parameters_of_text(text: str) -> list[list[str | None]]:
    """Return the same of what a compiled function says of itself, like ``($self, name, inputs)``."""
    arguments = ast.parse(f"def it{text.replace('$', '')}: ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)
    return list(_parameters(arguments.args))


def _module_names(module: Any) -> Names:
    found: Names = {}
    for name, value in sorted(vars(module).items()):
        is_own = isinstance(value, type) and value.__module__ in {module.__name__, "builtins"}
        if is_own and not name.startswith("__"):
            bases = sorted(base.__name__ for base in value.__bases__ if base is not object)
            members = dict(sorted(_class_members(value)))
            found[name] = {"kind": "class", "bases": bases, "members": members}
    return found


def _class_members(cls: type) -> Iterator[tuple[str, Any]]:
    yield "__new__" if "__init__" not in vars(cls) else "__init__", _called("method", cls)
    for name, value in vars(cls).items():
        if not name.startswith("_"):
            is_static = isinstance(value, staticmethod)
            kind = "static" if is_static else "method" if callable(value) else "property"
            yield name, {"kind": kind} if kind == "property" else _called(kind, getattr(cls, name))


def _called(kind: str, function: Any) -> dict[str, Any]:
    text = getattr(function, "__text_signature__", None)
    try:
        parameters = parameters_of_text(text) if text else parameters_of(function)
    except ValueError:  # it says nothing
        parameters = []
    return {"kind": kind, "async": inspect.iscoroutinefunction(function), "parameters": parameters}


def main(arguments: list[str]) -> None:
    """Print the names of a stub or of an installed package."""
    if arguments[0] == "--import":
        names = _module_names(importlib.import_module(arguments[1]))
    else:
        names = stub_names(Path(arguments[0]).read_text(encoding="utf-8"))
    lines = (f"{json.dumps(name)}: {json.dumps(facts, sort_keys=True)}" for name, facts in sorted(names.items()))
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")  # a line a name, for people who compare


if __name__ == "__main__":
    main(sys.argv[1:])
