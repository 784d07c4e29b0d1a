"""A cell magic that shows what a cell did.

    %load_ext argus.ipython

    %%argus load prices
    prices = load("book.csv")

runs the cell as ever, in a span of the name behind ``%%argus`` (``cell`` without one), and shows its
trace below the output: monitored calls and spans in it with durations, arguments and exceptions, in
notebooks as a table. At most 200 spans are shown, the outermost first. A cell that fails fails here, too;
one that awaits something at its top cannot be run by any magic.
"""

from __future__ import annotations

import html
from typing import Any

import argus
from argus import _native, _trace

_MOST = 200
_MAGIC = "argus"
_STYLE = "text-align:left;font-family:monospace;white-space:pre-wrap;vertical-align:top"


def load_ipython_extension(shell: Any) -> None:
    """Gives the shell the magic ``%%argus``."""
    runner = _Runner(shell)
    shell.register_magic_function(runner.run, "cell", _MAGIC)


def unload_ipython_extension(shell: Any) -> None:
    """Takes it away."""
    shell.magics_manager.magics["cell"].pop(_MAGIC, None)


class CellTrace:
    """A cell's trace, as text and as HTML without anything from elsewhere."""

    def __init__(self, root: int, spans: list[_trace.Span]) -> None:
        """The trace of the span ``root``; ``spans`` are its own, those around others first."""
        children: dict[int, list[_trace.Span]] = {}
        for span in spans[:_MOST]:
            children.setdefault(span.parent if span.number != root else 0, []).append(span)
        self._rows: list[tuple[int, _trace.Span]] = []
        waiting = [(0, span) for span in reversed(children.get(0, []))]
        while waiting:
            depth, span = waiting.pop()
            self._rows.append((depth, span))
            inside = sorted(children.get(span.number, []), key=lambda inner: inner.started_ns)
            waiting += [(depth + 1, inner) for inner in reversed(inside)]
        self._is_cut = len(spans) > _MOST

    def __repr__(self) -> str:
        """A line for each span, indented by its depth."""
        lines = []
        for depth, span in self._rows:
            failed = _trace.failure(span)
            line = f"{_time(span):>9}  {'  ' * depth}{_trace.call(span)}"
            lines.append(f"{line} ✗ {failed}" if failed else line)
        if self._is_cut:
            lines.append(_MORE)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for depth, span in self._rows:
            failed = html.escape(_trace.failure(span, 500))
            rows.append(
                f'<tr><td style="{_STYLE};text-align:right">{html.escape(_time(span))}</td>'
                f'<td style="{_STYLE};padding-left:{depth * 1.5 + 0.5}em">'
                f"{html.escape(_trace.call(span, 500))}</td>"
                f'<td style="{_STYLE};color:#b00020">{failed}</td></tr>'
            )
        if self._is_cut:
            rows.append(f'<tr><td></td><td colspan="2">{html.escape(_MORE)}</td></tr>')
        head = "".join(
            f'<th style="text-align:left">{it}</th>' for it in ("time", "call", "failed")
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


class CellFailed(Exception):
    """The cell has failed; its own exception was shown."""

    def _render_traceback_(self) -> list[str]:
        return []


class _Runner:
    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._profiler = argus.Profiler("notebook", process_group="notebook")
        self._reader: _trace.Reader | None = None

    def run(self, line: str, cell: str) -> None:
        """Runs the cell in a span and shows its trace: ``%%argus [NAME]``."""
        if self._reader is None and not _native.disabled():
            self._reader = _trace.Reader()
        name = line.strip().encode("utf-8", "replace").decode() or "cell"
        handle = self._profiler.start(name, number=self._shell.execution_count)
        result = self._shell.run_cell(cell)
        error = result.error_before_exec or result.error_in_exec
        if error is None:
            handle.end()
        else:
            handle.fail(error)
        self._show(handle.span)
        if error is not None:
            raise CellFailed().with_traceback(error.__traceback__) from None

    def _show(self, root: int | None) -> None:
        if self._reader is None or root is None:
            self._publish("argus: the cell was not recorded")
            return
        try:
            trace = CellTrace(root, self._reader.tree(root, _MOST + 1))
        except _trace.Unreadable as error:
            self._publish(f"argus: {error}")
        else:
            self._publish(repr(trace), trace._repr_html_())

    def _publish(self, text: str, as_html: str | None = None) -> None:
        data = {"text/plain": text}
        if as_html is not None:
            data["text/html"] = as_html
        self._shell.display_pub.publish(data=data)


_MORE = "… and more: see `argus traces`"


def _time(span: _trace.Span) -> str:
    """The duration; of what goes on in another thread, the time until now."""
    return _trace.elapsed(span.duration_ns) + ("…" if span.status == "OPEN" else "")
