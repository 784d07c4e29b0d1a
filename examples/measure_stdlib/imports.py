"""The graph of imports between modules, and the cycles in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import argus
from measure import Module

Graph = Mapping[str, frozenset[str]]


@argus.monitor
def build_graph(modules: Iterable[Module]) -> Graph:
    """Which measured module imports which; imports of anything else are left out."""
    modules = list(modules)
    known = {module.name for module in modules}
    return {
        module.name: frozenset(known.intersection(module.imports) - {module.name})
        for module in modules
    }


@argus.monitor
def find_cycles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other, the largest first.

    Tarjan's strongly connected components, without recursion: some cycles are long.
    """
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    is_waiting: set[str] = set()
    cycles: list[list[str]] = []
    for root in graph:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        waiting.append(root)
        is_waiting.add(root)
        path = [(root, iter(graph[root]))]
        while path:
            name, targets = path[-1]
            for target in targets:
                if target not in index:
                    index[target] = lowest[target] = len(index)
                    waiting.append(target)
                    is_waiting.add(target)
                    path.append((target, iter(graph[target])))
                    break
                if target in is_waiting:
                    lowest[name] = min(lowest[name], index[target])
            else:
                path.pop()
                if path:
                    parent = path[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[name])
                if lowest[name] == index[name]:
                    start = waiting.index(name)
                    cycle = waiting[start:]
                    del waiting[start:]
                    is_waiting.difference_update(cycle)
                    if len(cycle) > 1:
                        cycles.append(sorted(cycle))
    return sorted(cycles, key=len, reverse=True)
