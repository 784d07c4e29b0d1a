"""Measures one source file: its functions, their complexity, what it imports.

Runs in child processes, so everything that goes in or comes out is small and plain.
"""

from __future__ import annotations

import ast
import dataclasses
import pathlib
from collections.abc import Iterator

import argus

import sources

# Each of these is one more way through a function (McCabe).
BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.Assert,
    ast.comprehension,
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclasses.dataclass(frozen=True)
class Function:
    """A function as it stands in a source."""

    name: str
    line: int
    lines: int
    complexity: int


@dataclasses.dataclass(frozen=True)
class Module:
    """What was found in one file."""

    name: str
    lines: int
    functions: list[Function]
    classes: int
    imports: list[str]
    documentation: list[str]


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A file that is no Python, and why."""

    path: pathlib.Path
    reason: str


def try_file(path: pathlib.Path) -> Module | Refusal:
    """The library keeps files that no parser may accept, to test its own; they are counted."""
    try:
        return measure_file(path)
    except (SyntaxError, ValueError) as error:
        return Refusal(path.relative_to(sources.ROOT), str(error))


@argus.monitor
def measure_file(path: pathlib.Path) -> Module:
    """Raises SyntaxError or ValueError when the file is no Python."""
    source = path.read_bytes()
    tree = parse_source(source, path.name)
    name = sources.module_name(path)
    nodes = list(ast.walk(tree))
    return Module(
        name=name,
        lines=source.count(b"\n"),
        functions=[measure_function(node) for node in nodes if isinstance(node, FUNCTIONS)],
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=sorted(set(imported_names(nodes, name, path.stem == "__init__"))),
        documentation=list(documented_examples(nodes)),
    )


@argus.monitor
def parse_source(source: bytes, name: str) -> ast.Module:
    """Bytes, not text: the parser finds out the encoding, as it does on import."""
    return ast.parse(source, name)


@argus.monitor
def measure_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    """Length and cyclomatic complexity of a function, those inside it included."""
    complexity = 1
    for inner in ast.walk(node):
        if isinstance(inner, BRANCHES):
            complexity += 1
        elif isinstance(inner, ast.BoolOp):
            complexity += len(inner.values) - 1
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return Function(node.name, node.lineno, lines, complexity)


def imported_names(nodes: list[ast.AST], module: str, is_package: bool) -> Iterator[str]:
    """Absolute names of the modules that are imported, relative imports resolved."""
    package = module if is_package else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            prefix = ".".join(base) if node.level else ""
            origin = ".".join(part for part in (prefix, node.module) if part)
            yield origin
            # `from email import mime` imports a module, `from os import path` a name in one.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def documented_examples(nodes: list[ast.AST]) -> Iterator[str]:
    """Documentation that holds examples of use."""
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                yield text
