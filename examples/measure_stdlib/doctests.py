"""Parses the examples that documentation shows after `>>>`."""

from __future__ import annotations

import ast
import doctest

import argus

PARSER = doctest.DocTestParser()


@argus.monitor
def parse_examples(module: str, documentation: str) -> int:
    """The number of examples; raises SyntaxError or ValueError at the first that is no Python.

    The library has some: examples from Python 2, outlines such as `<a statement>`.
    """
    examples = PARSER.get_examples(documentation, module)
    for example in examples:
        ast.parse(example.source)
    return len(examples)
