from typing import Any, final

# For the package's own modules only; what a program may use stands in __init__.pyi.
__all__ = [
    "Below",
    "OpenSpan",
    "Place",
    "SpanHandle",
    "Steps",
    "attach",
    "configure",
    "detach",
    "disabled",
    "flush",
    "here",
    "instead_of_script",
    "instrument",
    "is_attached",
    "is_monitored",
    "is_planned",
    "is_unrecorded",
    "leave",
    "log",
    "metric",
    "monitor",
    "monitored_of",
    "new_session_id",
    "session_event",
    "span",
    "span_of_group",
    "start",
    "stats",
    "traceparent",
]

@final
class Below:
    def __new__(cls, traceparent: str | None) -> Below: ...
    def settle(self) -> None: ...
    def __enter__(self) -> Below: ...
    def __exit__(self, *exception: object) -> bool: ...

@final
class Place:
    def settle(self) -> None: ...
    def run(self, function: Any, /, *args: Any, **kwargs: Any) -> Any: ...

def here() -> Place | None: ...
def is_unrecorded() -> bool: ...
def leave() -> None: ...
def traceparent() -> str | None: ...

OpenSpan: Any
Steps: Any
attach: Any
configure: Any
detach: Any
disabled: Any
flush: Any
instead_of_script: Any
instrument: Any
is_attached: Any
is_monitored: Any
is_planned: Any
log: Any
metric: Any
monitor: Any
monitored_of: Any
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
