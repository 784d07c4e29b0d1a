from typing import Any

# For the package's own modules only; what a program may use stands in __init__.pyi.
__all__ = [
    "OpenSpan",
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
stats: Any
