"""Rewrites a module that uses ``lib.monitoring`` into one that uses ``argus``.

Pure: text in, text and notes out. The tree says what is meant and where it stands; only those places of
the text are changed, so that comments and formatting stay. What cannot be rewritten with certainty is
left as it is and noted. A rewritten module is left alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

LEGACY = "lib.monitoring"
_MODULES = {LEGACY, f"{LEGACY}.decorators", f"{LEGACY}.decorators.monitor"}
_OURS = {*_MODULES, "argus", "argus.legacy"}
_KNOWN = {"monitor", "TraceTime", "auto_instrument_module"}
# Old decorators, and the process group that stands for each.
_SHIMS = {"TraceTime": "legacy.time"}
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Note(NamedTuple):
    """Something that was left as it is."""

    line: int
    text: str


class Rewritten(NamedTuple):
    """A module's new text, the same as the old one if there was nothing to do."""

    text: str
    notes: list[Note]


def rewrite(text: str) -> Rewritten:
    """Rewrites one module. Raises ``SyntaxError`` or ``ValueError`` when it does not parse."""
    while True:
        module = _Module(text)
        module.rewrite_from_imports()
        module.rewrite_module_imports()
        new = module.edited()
        # What was split in two may have more in it; and what is written must parse.
        if new == text:
            return Rewritten(text, sorted(set(module.notes)))
        text = new


class _Module:
    def __init__(self, text: str) -> None:
        self.source = text.encode("utf-8", "surrogatepass")
        self.tree = ast.parse(text)
        self.notes: list[Note] = []
        self._edits: set[tuple[int, int, bytes]] = set()
        self._lines = [0, *(end.end() for end in _LINE_END.finditer(self.source))]
        self._nodes = list(ast.walk(self.tree))
        self._decorators = {
            id(decorator)
            for node in self._nodes
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            for decorator in node.decorator_list
        }
        self._calls = {id(node.func): node for node in self._nodes if isinstance(node, ast.Call)}

    def edited(self) -> str:
        """The text with all edits made."""
        parts, done = [], 0
        for start, end, new in sorted(self._edits):
            parts += [self.source[done:start], new]
            done = end
        return b"".join([*parts, self.source[done:]]).decode("utf-8", "surrogatepass")

    # ---- from lib.monitoring.decorators import monitor ----

    def rewrite_from_imports(self) -> None:
        for node in self._nodes:
            if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
                continue
            if node.module in _MODULES:
                self._rewrite_from(node)
            elif node.module in ("argus", "argus.legacy"):
                for alias in node.names:
                    if alias.name in _SHIMS:
                        self._replace_shim(node, alias)
            elif node.module.startswith(LEGACY + "."):
                self._note(node, f"{node.module} has no counterpart")

    def _rewrite_from(self, node: ast.ImportFrom) -> None:
        known = [alias for alias in node.names if alias.name in _KNOWN]
        if len(known) < len(node.names):
            unknown = ", ".join(alias.name for alias in node.names if alias not in known)
            self._note(node, f"{unknown} of {node.module} has no counterpart")
            if known:
                self._split(node, known)
            return
        start, end = self._span(node)
        named = re.match(rb"from[ \t]+([\w.]+)[ \t]", self.source[start:end])
        if named is None or named[1].decode() != node.module:
            self._note(node, "an import written in an unusual way")
            return
        self._edit(start + named.start(1), start + named.end(1), "argus")
        for alias in known:
            if alias.name in _SHIMS:
                self._replace_shim(node, alias)

    def _split(self, node: ast.ImportFrom, known: list[ast.alias]) -> None:
        """Two imports instead of one of which only a part has a counterpart."""
        start, end = self._span(node)
        statement = self.source[start:end]
        before = self.source[self._lines[node.lineno - 1] : start]
        if before.strip() or b"\n" in statement or b"\r" in statement:
            return
        rest = [alias for alias in node.names if alias not in known]
        line_end = _LINE_END.search(self.source)
        lines = [
            f"from argus import {', '.join(map(ast.unparse, known))}",
            f"from {node.module} import {', '.join(map(ast.unparse, rest))}",
        ]
        between = (line_end[0] if line_end else b"\n") + before
        self._edit(start, end, between.decode().join(lines))

    def _replace_shim(self, node: ast.ImportFrom, alias: ast.alias) -> None:
        """Puts ``monitor`` with a process group in the place of an old decorator, if that is all it is
        used as."""
        bound = alias.asname or alias.name
        uses = [use for use in self._names(bound) if isinstance(use.ctx, ast.Load)]
        imported = {
            other.asname or other.name
            for statement in self._nodes
            if isinstance(statement, ast.ImportFrom) and statement.module in {*_MODULES, "argus"}
            for other in statement.names
            if other.name == "monitor"
        }
        monitor = min(imported, default="monitor")
        plain = all(self._is_applied(use) for use in uses) and not self._is_bound_otherwise(bound)
        if not plain or (not imported and self._is_bound_otherwise("monitor")):
            self._note(node, f"{bound} is used in other ways than as a decorator, and stays")
            return
        for use in uses:
            self._apply(use, monitor, _SHIMS[alias.name])
        start, end = self._span(alias)
        same = [other for other in node.names if other.name == "monitor"]
        comma = re.compile(rb"[ \t]*,[ \t]*").match(self.source, end)
        if same and comma:
            self._edit(start, comma.end(), "")
        elif same and node.names[-1] is alias:
            before = self._span(node.names[-2])[1]
            between = self.source[before:start]
            self._edit(*((before, end, "") if b"#" not in between else (start, end, "monitor")))
        else:
            self._edit(start, end, "monitor" if monitor == "monitor" else f"monitor as {monitor}")

    # ---- import lib.monitoring.decorators ----

    def rewrite_module_imports(self) -> None:
        for node in self._nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in _MODULES:
                        self._rewrite_module(node, alias, alias.name, alias.name)
                    elif alias.name.startswith(LEGACY + "."):
                        self._note(node, f"{alias.name} has no counterpart")
            elif isinstance(node, ast.ImportFrom) and node.module == "lib" and not node.level:
                for alias in node.names:
                    if alias.name == "monitoring" and len(node.names) == 1:
                        self._rewrite_module(node, alias, LEGACY, "monitoring")
                    elif alias.name == "monitoring":
                        self._note(node, f"{LEGACY} is imported beside other modules")

    def _rewrite_module(
        self, node: ast.Import | ast.ImportFrom, alias: ast.alias, module: str, name: str
    ) -> None:
        bound = alias.asname or name.split(".")[0]
        # What the bound name stands for: the module itself, or the package that it begins with.
        meant = module if alias.asname or isinstance(node, ast.ImportFrom) else bound
        new = alias.asname or (name if isinstance(node, ast.ImportFrom) else "argus")
        uses = list(self._chains(bound, meant))
        reached = {id(root) for _, root, known in uses if known is not None}
        all_known = all(id(use) in reached for use in self._names(bound))
        if not all_known or (new == "argus" and self._is_bound_otherwise("argus")):
            self._note(node, f"{bound} is used in other ways, and stays")
            return
        for chain, _, known in uses:
            if known in _SHIMS and self._is_applied(chain):
                self._apply(chain, f"{new}.monitor", _SHIMS[known])
            elif known is not None:
                self._edit(*self._span(chain), f"{new}.{known}")
        start, end = self._span(node if isinstance(node, ast.ImportFrom) else alias)
        self._edit(
            start,
            end,
            f"import argus as {new}"
            if isinstance(node, ast.ImportFrom)
            else (f"argus as {new}" if alias.asname else "argus"),
        )

    def _chains(self, bound: str, meant: str) -> Iterator[tuple[ast.expr, ast.Name, str | None]]:
        """Every chain of attributes that begins with the name and ends at something known."""
        for node in self._nodes:
            if not isinstance(node, ast.Attribute):
                continue
            parts: list[str] = []
            at: ast.expr = node
            while isinstance(at, ast.Attribute):
                parts.append(at.attr)
                at = at.value
            if isinstance(at, ast.Name) and at.id == bound:
                path = ".".join([meant, *reversed(parts)])
                module, _, last = path.rpartition(".")
                if module in _MODULES and last in _KNOWN and not self._is_module(path, node):
                    yield node, at, last

    def _is_module(self, path: str, node: ast.expr) -> bool:
        """``decorators.monitor`` is the module of that name where the chain goes on, else the function."""
        chains = (other for other in self._nodes if isinstance(other, ast.Attribute))
        return path in _MODULES and any(other.value is node for other in chains)

    # ---- places ----

    def _names(self, bound: str) -> list[ast.Name]:
        return [node for node in self._nodes if isinstance(node, ast.Name) and node.id == bound]

    def _is_bound_otherwise(self, name: str) -> bool:
        """Whether something else than an import of ours has this name anywhere."""
        return any(name in _bound_by(node) for node in self._nodes)

    def _is_applied(self, use: ast.expr) -> bool:
        """Whether it is a decorator, or called in one piece with its bracket."""
        if id(use) in self._decorators:
            return True
        return id(use) in self._calls and self.source[self._span(use)[1] :][:1] == b"("

    def _apply(self, use: ast.expr, monitor: str, group: str) -> None:
        """Writes the call of ``monitor`` that an old decorator stands for."""
        start, end = self._span(use)
        option = f'process_group="{group}"'
        call = self._calls.get(id(use))
        if call is None:
            self._edit(start, end, f"{monitor}({option})")
            return
        self._edit(start, end, monitor)
        first = call.args[0] if call.args else None
        names_group = isinstance(first, ast.Constant) and isinstance(first.value, str)
        if names_group or any(keyword.arg == "process_group" for keyword in call.keywords):
            return
        if call.args:
            at = self._span(call.args[-1])[1]
            self._edit(at, at, f", {option}")
        elif call.keywords:
            at = self._span(call.keywords[0])[0]
            self._edit(at, at, f"{option}, ")
        else:
            self._edit(end + 1, end + 1, option)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Where it stands in the source: its first byte, and the one behind its last."""
        start = self._lines[getattr(node, "lineno") - 1] + getattr(node, "col_offset")  # noqa: B009
        end = self._lines[getattr(node, "end_lineno") - 1] + getattr(node, "end_col_offset")  # noqa: B009
        return start, end

    def _edit(self, start: int, end: int, new: str) -> None:
        self._edits.add((start, end, new.encode()))

    def _note(self, node: ast.stmt, text: str) -> None:
        self.notes.append(Note(node.lineno, text))


def _bound_by(node: ast.AST) -> list[str]:
    """The names that a node gives to something of the program's own."""
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.ImportFrom) and node.module not in _OURS:
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name for alias in node.names if alias.name not in _OURS]
    return []
