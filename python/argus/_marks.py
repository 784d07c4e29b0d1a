"""Compiles a module so that every function it makes passes through a decorator first.

The decorator is the innermost one of each ``def`` and ``async def``, and is put around each ``lambda``.
Nothing else of the module changes: names, line numbers, docstrings, ``__future__`` imports, and the
module's own text are as they were, and no name is added anywhere, since the decorator stands among the
constants of the code. Such code cannot be marshalled, so it never lands in a ``__pycache__``.

It is a tree that is compiled, not a text: the decorator takes the place of its function, so
``co_firstlineno``, ``inspect.getsource`` and tracebacks answer as before. It takes about twice as long as
compiling the text, and is done at every start: sympy's 419 modules take 6 s more to import than from
their ``__pycache__``.
"""

from __future__ import annotations

import ast
import bisect
import contextlib
import gc
import sys
import threading
import warnings
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, Callable

# Constants that stand for objects until the code is there: the compiler takes no others.
_MARK = "\0argus: instrumented\0"
_STATIC = "\0argus: staticmethod\0"
_CLASS = "\0argus: classmethod\0"
# The class that is being made turns these into static and class methods, if they are plain functions.
# On Python 3.11 an instrumented one is none to it (see `heir.rs`), so it is said in so many words.
_IMPLICIT = {"__new__": _STATIC, "__init_subclass__": _CLASS, "__class_getitem__": _CLASS}
_IS_IMPLICIT_LOST = (3, 11) <= sys.version_info < (3, 12)

_Bodies = ("body", "orelse", "finalbody", "handlers", "cases")
# Filters of warnings belong to the whole program: two threads that import must not restore them crosswise.
_one_at_a_time = threading.Lock()


def compile_marked(
    source: bytes,
    path: str,
    decorator: Callable[[Any], Any],
    wants: Callable[[str], bool],
) -> CodeType:
    """The code of a module in which ``decorator`` sees every function whose qualified name is wanted.

    Raises what the compiler raises.
    """
    with _one_at_a_time, warnings.catch_warnings(), _without_collector():
        # Of the program's text nothing is to be said twice: whoever compiles it as usual is told.
        warnings.simplefilter("ignore")
        tree = ast.parse(source, path)
        _Marker(wants, source).mark(tree)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
    return _with_objects(code, {_MARK: decorator, _STATIC: _static, _CLASS: _class})


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps the garbage collector away from the tree: it would go through all of it, again and again,
    which takes longer than making it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Marker:
    """Puts the mark into a tree, however deep: the way through it is no recursion."""

    def __init__(self, wants: Callable[[str], bool], source: bytes) -> None:
        self._wants = wants
        # Expressions are most of a tree, and only those with a lambda are of interest.
        lines = enumerate(source.splitlines(), 1)
        self._lambdas = [number for number, line in lines if b"lambda" in line]

    def mark(self, tree: ast.AST) -> None:
        to_do: list[tuple[ast.AST, str, bool]] = [(tree, "", False)]
        while to_do:
            node, name, in_class = to_do.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                name += node.name
                self._mark_function(node, name, in_class)
                name, in_class = f"{name}.<locals>.", False
            elif isinstance(node, ast.ClassDef):
                name, in_class = f"{name}{node.name}.", True
            elif isinstance(node, ast.Assign) and in_class:
                _say_implicit(node)
            self._mark_lambdas(node, name)
            for field in _Bodies:
                for inner in getattr(node, field, ()):
                    to_do.append((inner, name, in_class))

    def _mark_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, in_class: bool
    ) -> None:
        if not self._wants(name):
            return
        decorators = node.decorator_list
        first = decorators[0] if decorators else node
        decorators.append(_constant(_MARK, node))
        if _IS_IMPLICIT_LOST and in_class and node.name in _IMPLICIT:
            decorators.insert(0, _constant(_IMPLICIT[node.name], first))

    def _mark_lambdas(self, statement: ast.AST, name: str) -> None:
        first = getattr(statement, "lineno", 0)
        decorators = getattr(statement, "decorator_list", None)
        if decorators:
            first = decorators[0].lineno
        last = getattr(statement, "end_lineno", sys.maxsize)
        next_one = bisect.bisect_left(self._lambdas, first)
        if next_one == len(self._lambdas) or self._lambdas[next_one] > last:
            return
        to_do = [statement]
        while to_do:
            node = to_do.pop()
            for field in node._fields:
                value = getattr(node, field, None)
                if node is statement and field in _Bodies and isinstance(value, list):
                    continue
                if isinstance(value, ast.AST):
                    setattr(node, field, self._marked(value, name))
                    to_do.append(value)
                elif isinstance(value, list):
                    for index, item in enumerate(value):
                        if isinstance(item, ast.AST):
                            value[index] = self._marked(item, name)
                            to_do.append(item)

    def _marked(self, node: ast.AST, name: str) -> ast.AST:
        if not isinstance(node, ast.Lambda) or not self._wants(f"{name}<lambda>"):
            return node
        call = ast.Call(_constant(_MARK, node), [node], [])
        return ast.copy_location(call, node)


def _say_implicit(node: ast.Assign) -> None:
    target = node.targets[0]
    if _IS_IMPLICIT_LOST and isinstance(target, ast.Name) and target.id in _IMPLICIT:
        mark = _constant(_IMPLICIT[target.id], node.value)
        node.value = ast.copy_location(ast.Call(mark, [node.value], []), node.value)


def _static(method: Any) -> Any:
    return staticmethod(method) if _is_heir(method) else method


def _class(method: Any) -> Any:
    return classmethod(method) if _is_heir(method) else method


def _is_heir(method: Any) -> bool:
    return type(method) is not FunctionType and issubclass(type(method), FunctionType)


def _constant(text: str, node: ast.AST) -> ast.Constant:
    return ast.copy_location(ast.Constant(text), node)


def _with_objects(code: CodeType, objects: dict[str, Any]) -> CodeType:
    """The code with the objects that its constants stand for."""
    constants = tuple(
        _with_objects(constant, objects)
        if isinstance(constant, CodeType)
        else objects.get(constant, constant)
        if type(constant) is str
        else constant
        for constant in code.co_consts
    )
    if all(new is old for new, old in zip(constants, code.co_consts)):
        return code
    return code.replace(co_consts=constants)
