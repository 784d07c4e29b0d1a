"""Reading back what this process has recorded, and telling it to a reader.

The store is asked by the ``argus`` command, as a user would: this process never opens it. For the pytest
plugin and the cell magic; whatever goes wrong here is an `Unreadable` with one sentence.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import argus

_PATIENCE = 20.0
# A committed span's moment of start is not stored, its end and duration are.
_NEAR = """
WITH RECURSIVE
mine AS MATERIALIZED (SELECT max(id) AS id FROM producers WHERE pid = {pid}),
near AS MATERIALIZED (
    SELECT number, parent, name_id, end_ns - duration_ns AS started_ns, duration_ns, status,
        exception, captured
    FROM spans WHERE id > {baseline} AND producer_id = (SELECT id FROM mine)
    UNION ALL
    SELECT number, parent, name_id, started_ns, NULL, 'OPEN', NULL, captured
    FROM open_spans WHERE producer_id = (SELECT id FROM mine)
),
tree(number, level) AS (
    SELECT {root}, 0
    UNION ALL
    SELECT near.number, level + 1 FROM tree JOIN near ON near.parent = tree.number
)
SELECT n.text AS name, near.* FROM {source} LEFT JOIN names AS n ON n.id = near.name_id
"""


class Unreadable(Exception):
    """Nothing can be read back; the text says why, in one sentence."""


class Span(NamedTuple):
    """A span of this process, ended or open."""

    number: int
    parent: int
    name: str
    started_ns: int
    """Nanoseconds since the Unix epoch."""
    duration_ns: int
    """Of an open span, until it was read."""
    status: str
    """``OK``, ``ERR`` or ``OPEN``."""
    exception: str | None
    arguments: dict[str, str]
    result: str | None


class Reader:
    """Reads what this process has recorded since the reader was made."""

    def __init__(self) -> None:
        """Notes which database that is: a program may change its environment later."""
        self._environment = {**os.environ, "NO_COLOR": "1"}
        self._command = _command()
        self._flush_for = 5.0
        self._baseline = 0
        try:
            rows = self._ask("SELECT coalesce(max(id), 0) AS id FROM spans", 1)
            self._baseline = int(rows[0]["id"])
        except (Unreadable, LookupError):
            # Where nothing was ever recorded, there is nothing to leave out.
            pass

    def tree(self, root: int, most: int) -> list[Span]:
        """The span ``root`` and those in it, at most ``most``: the nearest to it, then the earliest."""
        nearest = "ORDER BY level, started_ns, number"
        return self._spans(root, "tree JOIN near USING (number)", most, nearest)

    def slowest(self, root: int, most: int) -> list[Span]:
        """The ended spans in ``root`` that took longest."""
        where = f"WHERE status <> 'OPEN' AND near.number <> {root} ORDER BY duration_ns DESC"
        return self._spans(root, "tree JOIN near USING (number)", most, where)

    def open(self, most: int) -> list[Span]:
        """What is open in this process, of all its threads, by its start."""
        return self._spans(0, "near", most, "WHERE status = 'OPEN' ORDER BY started_ns, number")

    def _spans(self, root: int, source: str, most: int, rest: str = "") -> list[Span]:
        if not argus.flush(self._flush_for):
            # Who waited in vain once need not do so for every test.
            self._flush_for = 0.1
            raise Unreadable("no collector has stored the trace in time, see `argus doctor`")
        self._flush_for = 5.0
        question = _NEAR.format(pid=os.getpid(), baseline=self._baseline, root=root, source=source)
        now = time.time_ns()
        return [_span(row, now) for row in self._ask(question + rest, most)]

    def _ask(self, question: str, most: int) -> list[dict[str, Any]]:
        if self._command is None:
            raise Unreadable("the argus command is not installed")
        try:
            done = subprocess.run(
                [self._command, "query", "--json", "--limit", str(most), question],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
            if done.returncode == 0:
                rows: list[dict[str, Any]] = json.loads(done.stdout)
                return rows
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise Unreadable(f"the trace cannot be read: {error}") from None
        reason = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise Unreadable(f"the trace cannot be read: {reason or done.returncode}")


def _command() -> str | None:
    """The command that the collector is started with, in the order in which that is looked for."""
    return os.environ.get("ARGUS_BIN") or argus._command() or shutil.which("argus")


def _span(row: dict[str, Any], now: int) -> Span:
    captured = json.loads(row["captured"] or "{}")
    duration = row["duration_ns"]
    return Span(
        number=row["number"],
        parent=row["parent"],
        name=row["name"] or "?",
        started_ns=row["started_ns"],
        duration_ns=max(0, now - row["started_ns"]) if duration is None else duration,
        status=row["status"],
        exception=row["exception"],
        arguments=captured.get("i", {}),
        result=captured.get("o", {}).get("result"),
    )


def elapsed(nanoseconds: int) -> str:
    """A duration with three digits."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{nanoseconds} ns"


def call(span: Span, most: int = 80) -> str:
    """The span as the call that it is, on one line: ``module.function(a=1)``."""
    arguments = ", ".join(f"{name}={value}" for name, value in span.arguments.items())
    return cut(f"{span.name}({arguments})" if arguments else span.name, most)


def failure(span: Span, most: int = 80) -> str:
    """The last line of the span's exception; empty when there is none."""
    lines = (span.exception or "").strip().splitlines()
    return cut(lines[-1], most) if lines else ""


def cut(text: str, most: int) -> str:
    """``text`` on one line, without what a terminal would obey, and at most ``most`` characters of it."""
    text = text[: 4 * most]
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def table(spans: Iterable[Span]) -> list[str]:
    """A line for each span: how long, what, and how it failed."""
    lines = []
    for span in spans:
        failed = failure(span)
        line = f"{elapsed(span.duration_ns):>9}  {call(span)}"
        lines.append(f"{line} ✗ {failed}" if failed else line)
    return lines
