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
    """Groups of modules that import each other, directly or not, the largest first.

    Kosaraju's way: what is reached against the arrows, beginning with the module that finishes
    last, is a group of its own.
    """
    importers: dict[str, set[str]] = {name: set() for name in graph}
    for name, targets in graph.items():
        for target in targets:
            importers[target].add(name)
    seen: set[str] = set()
    groups = [depth_first(importers, name, seen) for name in reversed(finishing_order(graph))]
    return sorted((sorted(group) for group in groups if len(group) > 1), key=len, reverse=True)


def finishing_order(graph: Graph) -> list[str]:
    """The modules in the order in which a depth-first walk leaves them."""
    seen: set[str] = set()
    return [name for root in graph for name in depth_first(graph, root, seen)]


def depth_first(graph: Mapping[str, Iterable[str]], root: str, seen: set[str]) -> list[str]:
    """What is reached from `root` and not yet seen, each name after all that it leads to.

    No recursion: chains of imports are longer than the interpreter's stack.
    """
    if root in seen:
        return []
    seen.add(root)
    left: list[str] = []
    path = [(root, iter(graph[root]))]
    while path:
        name, targets = path[-1]
        target = next((target for target in targets if target not in seen), None)
        if target is None:
            left.append(name)
            path.pop()
        else:
            seen.add(target)
            path.append((target, iter(graph[target])))
    return left
