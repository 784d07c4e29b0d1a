"""Texts that only Python can make: an exception with its traceback, and the warning of a long queue.

The native module calls these, with its own recording off, and swallows what they raise.
"""

from __future__ import annotations

import logging
import traceback
from types import TracebackType

# A traceback is given whole up to here; of a longer one, the first and last few frames.
_WHOLE = 50
_SHOWN = 10
# A recursion that fails at its limit passes thousands of monitored calls: none of them may walk it all.
_WALK = 1_000
_CHAIN = 10


def exception_text(error: BaseException) -> str:
    """The exception as the interpreter would print it, bounded."""
    frames = _frames(error.__traceback__)
    if len(frames) <= _WHOLE:
        return "".join(
            traceback.format_exception(type(error), error, error.__traceback__, chain=_few(error))
        )
    if len(frames) < _WALK:
        head, tail = (
            traceback.format_tb(frames[0], limit=_SHOWN),
            traceback.format_tb(frames[-_SHOWN]),
        )
        gap = f"  [{len(frames) - 2 * _SHOWN} more frames]\n"
    else:
        head, tail = traceback.format_tb(frames[0], limit=1), []
        gap = f"  [{_WALK} more frames, or more]\n"
    last = traceback.format_exception_only(type(error), error)
    return "".join(["Traceback (most recent call last):\n", *head, gap, *tail, *last])


def _frames(entry: TracebackType | None) -> list[TracebackType]:
    frames: list[TracebackType] = []
    while entry is not None and len(frames) < _WALK:
        frames.append(entry)
        entry = entry.tb_next
    return frames


def _few(error: BaseException | None) -> bool:
    """Whether the exceptions behind this one are few enough, and short enough, to be told as well."""
    for _ in range(_CHAIN):
        error = None if error is None else error.__cause__ or error.__context__
        if error is None:
            return True
        if len(_frames(error.__traceback__)) > _WHOLE:
            return False
    return False


def warn_of_queue(depth: int, threshold: int) -> None:
    """Tells the program, through its own logging, that the collector does not keep up."""
    logging.getLogger("argus").warning(
        "%d records wait for the collector (threshold %d); they are safe on disk, see `argus status`",
        depth,
        threshold,
    )
