"""Sessions: the ordered story of one command's work."""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
from types import TracebackType
from typing import Any

from argus import _native, _serializers

_current: contextvars.ContextVar[session | None] = contextvars.ContextVar(
    "argus_session", default=None
)


class session:
    """A session that lasts as long as its ``with`` block; ``session_ended`` is its last event."""

    def __init__(self, name: str, **data: Any) -> None:
        """A session of the command ``name``; it starts with the ``with`` block."""
        self.name = name
        self.id = _native.new_session_id()
        self._data = data
        self._tokens: list[contextvars.Token[session | None]] = []

    def emit(self, event_type: str, **data: Any) -> None:
        """Appends one event of this type, in snake case."""
        _native.session_event(self.id, event_type, _serializers.as_json(data))

    def __enter__(self) -> session:
        self.emit("session_started", name=self.name, command=self.name, **self._data)
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())
        if kind is None:
            self.emit("session_ended", status="completed")
        else:
            self.emit("session_ended", status="failed", error=kind.__name__)


def event(event_type: str, **data: Any) -> None:
    """Appends one event to the innermost open session; without one, to the session of this process."""
    (_current.get() or _of_this_process()).emit(event_type, **data)


_process_sessions: dict[int, session] = {}


def _of_this_process() -> session:
    """Starts with the first event outside of any session and ends with the process."""
    mine = _process_sessions.get(os.getpid())
    if mine is None:
        mine = session(os.path.basename(sys.argv[0] if sys.argv else "") or "python")
        _process_sessions[os.getpid()] = mine
        mine.emit("session_started", name=mine.name, command=mine.name)
        atexit.register(_end, os.getpid(), mine)
    return mine


def _end(pid: int, mine: session) -> None:
    if pid == os.getpid():
        mine.emit("session_ended", status="completed")
