"""The summary for the person at the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import argus

from imports import Graph
from measure import Function, Module, Refusal

MOST_SHOWN = 5


@argus.monitor
def summary(
    modules: Sequence[Module],
    refused: Sequence[Refusal],
    examples: Counter[str],
    graph: Graph,
    cycles: Sequence[Sequence[str]],
    code_bytes: int,
    seconds: float,
) -> str:
    """Everything that was found, as text."""
    functions = [(module, function) for module in modules for function in module.functions]
    lines = [
        "",
        f"Python's standard library, measured in {seconds:.1f} s",
        f"  modules            {len(modules):>10,}",
        f"  lines              {sum(module.lines for module in modules):>10,}",
        f"  classes            {sum(module.classes for module in modules):>10,}",
        f"  functions          {len(functions):>10,}",
        f"  examples           {examples['fine']:>10,}",
        f"  broken examples    {examples['broken']:>10,}",
        f"  refused files      {len(refused):>10,}",
        f"  compiled code      {code_bytes:>10,} bytes",
        f"  imports            {sum(map(len, graph.values())):>10,}",
        f"  import cycles      {len(cycles):>10,}",
        "",
        "longest functions",
        *ranking(functions, lambda function: function.lines, "lines"),
        "most complex functions",
        *ranking(functions, lambda function: function.complexity, "ways"),
        "most imported modules",
        *most_imported(graph),
    ]
    return "\n".join(lines)


def ranking(
    functions: Sequence[tuple[Module, Function]], measure: Callable[[Function], int], unit: str
) -> Iterable[str]:
    """The functions of which there is most to measure."""

    def size(found: tuple[Module, Function]) -> int:
        return measure(found[1])

    for module, function in sorted(functions, key=size, reverse=True)[:MOST_SHOWN]:
        place = f"{module.name}.{function.name}:{function.line}"
        yield f"  {measure(function):>6,} {unit}  {place}"


def most_imported(graph: Graph) -> Iterable[str]:
    """The modules that most others need."""
    counts = Counter(target for targets in graph.values() for target in targets)
    for name, count in counts.most_common(MOST_SHOWN):
        yield f"  {count:>6,} times  {name}"
