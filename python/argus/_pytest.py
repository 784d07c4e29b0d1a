"""What the pytest plugin does once it is wanted."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Generator
from typing import Any

import pytest

import argus
from argus import _native, _trace

_OPEN = 20
_SLOWEST = 10
_SECTION = "argus"


def enable(config: Any, hang: float | None) -> None:
    """Records the tests of this process; nothing where recording is off."""
    if hang is not None and not hang > 0:
        raise pytest.UsageError("--argus-hang needs a number of seconds above 0")
    if not _native.disabled():
        config.pluginmanager.register(_Traces(hang), "argus-traces")


class _Traces:
    """One trace after the other."""

    def __init__(self, hang: float | None) -> None:
        self._profiler = argus.Profiler("pytest", process_group="pytest")
        self._reader: _trace.Reader | None = None
        self._handle: _native.SpanHandle | None = None
        self._outcome = "passed"
        self._error: BaseException | None = None
        self._watch = None if hang is None else _Watch(hang, self._tell)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, Any, None]:
        """Opens the test's trace around everything that belongs to it."""
        with contextlib.suppress(Exception):
            self._begin(item.nodeid)
        yield
        with contextlib.suppress(Exception):
            self._end()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: Any) -> Generator[None, Any, None]:
        """Notes how the test went on, and adds the section to the report of a failure."""
        outcome = yield
        with contextlib.suppress(Exception):
            self._note(outcome.get_result(), call.excinfo)

    def pytest_unconfigure(self) -> None:
        """Ends the thread that watches for hung tests."""
        if self._watch is not None:
            self._watch.stop()

    def _begin(self, nodeid: str) -> None:
        if self._reader is None:
            self._reader = _trace.Reader()
        self._outcome, self._error = "passed", None
        nodeid = nodeid.encode("utf-8", "replace").decode()
        self._handle = self._profiler.start(nodeid, nodeid=nodeid)
        if self._watch is not None:
            self._watch.begin(nodeid)

    def _note(self, report: Any, excinfo: Any) -> None:
        told = self._watch.told() if self._watch is not None else None
        if report.failed:
            self._outcome = "failed"
            self._error = None if excinfo is None else excinfo.value
            report.sections.append((_SECTION, self._tell()))
        else:
            if self._outcome == "passed":
                expected = "xfailed" if report.skipped else "xpassed"
                self._outcome = expected if hasattr(report, "wasxfail") else report.outcome
            if told is not None:
                report.sections.append((_SECTION, told))

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.end()
        handle, error, self._handle, self._error = self._handle, self._error, None, None
        if handle is None:
            return
        if self._outcome == "failed":
            handle.fail(error if error is not None else "failed", outcome="failed")
        else:
            handle.end(outcome=self._outcome)

    def _tell(self) -> str:
        """What is open, and what of this test took longest."""
        root = None if self._handle is None else self._handle.span
        if self._reader is None or root is None:
            return "the test was not recorded"
        try:
            open_spans = [span for span in self._reader.open(_OPEN + 1) if span.number != root]
            slowest = self._reader.slowest(root, _SLOWEST)
        except _trace.Unreadable as error:
            return str(error)
        except Exception as error:
            return f"the trace cannot be read: {type(error).__name__}"
        lines = []
        for title, spans in (("OPEN", open_spans), ("SLOWEST", slowest)):
            lines.append(title if spans else f"{title}: nothing")
            lines += _trace.table(spans)
        return "\n".join(lines)


class _Watch:
    """Tells once of each test that takes too long, from a thread of its own."""

    def __init__(self, limit: float, tell: Any) -> None:
        self._limit = limit
        self._tell = tell
        self._changed = threading.Condition()
        self._test: str | None = None
        self._round = 0
        self._told: str | None = None
        self._stopped = False
        # While a test runs, pytest puts a file in the place of standard error.
        self._out = os.dup(2)
        self._thread = threading.Thread(target=self._run, name="argus-hang", daemon=True)
        self._thread.start()

    def begin(self, test: str) -> None:
        """A test has begun."""
        self._change(test)

    def end(self) -> None:
        """It has ended."""
        self._change(None)

    def told(self) -> str | None:
        """What was told of the test that runs."""
        with self._changed:
            return self._told

    def stop(self) -> None:
        """No test will come any more."""
        with self._changed:
            self._stopped = True
        self._change(None)
        self._thread.join(5)
        if not self._thread.is_alive():
            os.close(self._out)

    def _change(self, test: str | None) -> None:
        with self._changed:
            self._test, self._told = test, None
            self._round += 1
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                test, this_round = self._test, self._round
                if self._stopped:
                    return
                limit = None if test is None or self._told is not None else self._limit
                if self._changed.wait_for(functools.partial(self._is_over, this_round), limit):
                    continue
            self._speak(str(test), this_round)

    def _is_over(self, this_round: int) -> bool:
        return self._round != this_round

    def _speak(self, test: str, this_round: int) -> None:
        try:
            text = self._tell()
            with self._changed:
                if self._round != this_round:
                    return
                self._told = text
            message = f"\nargus: {test} takes longer than {self._limit:g} s\n{text}\n"
            os.write(self._out, message.encode("utf-8", "replace"))
        except Exception:
            self._told = ""
