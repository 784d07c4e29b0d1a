from typing import Any, final

# For the package's own modules only; what a program may use stands in __init__.pyi.
__all__ = [
    "OpenSpan",
    "SpanHandle",
    "Steps",
    "configure",
    "disabled",
    "flush",
    "log",
    "metric",
    "monitor",
    "new_session_id",
    "session_event",
    "span",
    "span_of_group",
    "start",
    "stats",
]

OpenSpan: Any
Steps: Any
configure: Any
disabled: Any
flush: Any
log: Any
metric: Any
monitor: Any
new_session_id: Any
session_event: Any
span: Any
span_of_group: Any
start: Any
stats: Any

@final
class SpanHandle:
    @property
    def span(self) -> int | None: ...
    def end(self, **fields: Any) -> bool: ...
    def fail(self, error: BaseException | str, /, **fields: Any) -> bool: ...
