"""Python's logging as log lines of the store, beside the span in which they were written.

    import logging
    import argus.logging

    logging.getLogger().addHandler(argus.logging.Handler())

``argus logs --source logger`` lists them.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from argus import _failure, _native, _serializers

__all__ = ["Handler"]

# What every record has; the rest is the program's own.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_STANDARD_COUNT = len(logging.makeLogRecord({}).__dict__)
# By these, lines of several programs belong together (`argus logs --correlation`).
_IDS = frozenset({"trace_id", "span_id", "request_id", "correlation_id", "session_id"})
_MOST_OF_ID = 256


class Handler(logging.Handler):
    """Records what the program logs.

    A record becomes a log line of the source ``logger`` with its level, its logger's name, its message,
    the time when it was made, and the span that is current where this handler is called. Further lines
    of the message, the exception's traceback (bounded) and the stack stand behind it as parts of the
    same event. What ``extra`` or a logger adapter has put into the record is stored as attributes, up to
    eight levels deep; a ``trace_id``, ``span_id``, ``request_id``, ``correlation_id`` or ``session_id``
    among it can be asked for. Levels of the program's own count as the standard level below them.

    With a formatter, the line is what the formatter makes of the record; without one, it is the message.

    Nothing is raised into the program, whatever a message's arguments do: where the message cannot be
    made, it is recorded as it was written. What an argument logs itself while its text is asked for is
    recorded that way, too. An interrupt by the user is passed on. A line is cut at 16 KiB, an event at
    1,000 lines. With ``ARGUS_DISABLE=1`` this does nothing. Costs about as much as a
    handler that writes to nowhere, two to three times that with ``extra``, and no system call
    (``python/bench/logging_cost.py`` measures both).
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        sensitive_fields: tuple[str, ...] = _serializers.SENSITIVE,
    ) -> None:
        """Of records from this level on; attributes with ``sensitive_fields`` as names are masked."""
        super().__init__(level)
        self._sensitive = tuple(sensitive_fields)
        self._busy = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Records ``record``."""
        busy = self._busy.__dict__
        try:
            if busy:
                message = text = _as_written(record)
            else:
                busy["busy"] = True
                try:
                    message, text = self._told(record)
                finally:
                    busy.clear()
            attached = None
            if len(record.__dict__) > _STANDARD_COUNT:
                attached = self._attached(record)
            _native.log(record.levelno, record.created, record.name, message, text, attached)
        except KeyboardInterrupt:
            raise
        except BaseException:
            # A record that is not even one: fields missing, or of other types.
            _lose(record)

    def _told(self, record: logging.LogRecord) -> tuple[str, str]:
        """The record's message, and all of its text."""
        message = _as_written(record)
        try:
            message = record.getMessage()
            if self.formatter is not None:
                return message, self.format(record)
        except KeyboardInterrupt:
            raise
        except BaseException:
            pass
        if record.exc_info or record.exc_text or record.stack_info:
            return message, "\n".join([message, *_behind(record)])
        return message, message

    def _attached(self, record: logging.LogRecord) -> tuple[str, list[tuple[str, str]]] | None:
        """What is not standard in the record: as a JSON object, and the ids in it."""
        fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if not fields:
            return None
        ids = [
            (key, str(value)[:_MOST_OF_ID])
            for key, value in fields.items()
            if key in _IDS and type(value) in (str, int)
        ]
        return _serializers.as_json(fields, self._sensitive), ids


def _as_written(record: logging.LogRecord) -> str:
    """The message before its arguments are put in; runs no code of the program's."""
    message: Any = record.msg
    return message if type(message) is str else f"<{type(message).__name__}>"


def _behind(record: logging.LogRecord) -> list[str]:
    """What stands behind the message."""
    parts = []
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is not None:
        parts.append(_failure.exception_text(error))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return [part.rstrip("\n") for part in parts]


def _lose(record: Any) -> None:
    """Records that something was logged that cannot be told."""
    _native.log(logging.ERROR, float("nan"), "argus", "", f"<{type(record).__name__}>", None)
