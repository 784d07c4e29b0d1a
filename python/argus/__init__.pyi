from collections.abc import Callable, Mapping
from types import ModuleType, TracebackType
from typing import Any, Literal, TypeVar, final, overload

from argus._profiler import Profiler as Profiler
from argus.legacy import TraceTime as TraceTime
from argus.propagation import continue_trace, inject, traceparent

__all__ = [
    "Profiler",
    "auto_instrument_module",
    "continue_trace",
    "event",
    "flush",
    "inject",
    "metric",
    "monitor",
    "session",
    "span",
    "stats",
    "traceparent",
]
__version__: str

# Class methods are not callable themselves, but can be decorated.
_Function = TypeVar(
    "_Function", bound=Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any]
)

class _Decorator:
    def __call__(self, function: _Function, /) -> _Function: ...

@overload
def monitor(function: _Function, /) -> _Function: ...
@overload
def monitor(
    # A text here is the process group.
    function: str | None = None,
    /,
    *,
    process_group: str | None = None,
    sample_rate: float | None = None,
    capture: Mapping[Literal["args", "result", "locals"], bool] | None = None,
    serializer: Literal["smart", "repr", "json"] | Callable[[Any], str] = "smart",
    max_repr: int = 1_000,
    sensitive_fields: tuple[str, ...] = ("password", "api_key", "token"),
    queue_warning_threshold: int = 8_000,
) -> _Decorator: ...
def auto_instrument_module(
    module: ModuleType,
    include_regex: str | None = None,
    exclude: tuple[str, ...] = (),
    process_group: str | None = None,
    *,
    sample_rate: float | None = None,
    capture: Mapping[Literal["args", "result", "locals"], bool] | None = None,
    serializer: Literal["smart", "repr", "json"] | Callable[[Any], str] = "smart",
    max_repr: int = 1_000,
    sensitive_fields: tuple[str, ...] = ("password", "api_key", "token"),
    queue_warning_threshold: int = 8_000,
) -> list[str]: ...

@final
class span:
    def __new__(cls, name: str, /, **fields: Any) -> span: ...
    def __enter__(self) -> span: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...

class session:
    name: str
    id: str
    def __init__(self, name: str, **data: Any) -> None: ...
    def emit(self, event_type: str, **data: Any) -> None: ...
    def __enter__(self) -> session: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

def event(event_type: str, **data: Any) -> None: ...
def metric(name: str, value: float, unit: str = "", /, **attributes: Any) -> None: ...
def flush(timeout: float = 5.0) -> bool: ...
def stats() -> dict[str, int]: ...
def _command() -> str | None: ...
