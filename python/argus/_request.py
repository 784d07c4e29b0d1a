"""A request that this program serves: a span below the one that sent it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from argus import _native
from argus.propagation import continue_trace

# From here on an answer says that the server failed (RFC 9110, section 15.6).
_FAILED = 500
_STATUS = "http.response.status_code"


class Request:
    """Entered when the request comes, left when it is answered; later exits change nothing."""

    def __init__(
        self,
        *,
        method: str,
        headers: Mapping[str, str],
        process_group: str | None,
        fields: dict[str, Any],
    ) -> None:
        """A request with these headers."""
        self.status: int | None = None
        self._method = method
        self._group = process_group
        self._fields = fields
        self._parent = continue_trace(headers)
        self._span: Any = None

    def __enter__(self) -> Request:
        self._parent.__enter__()
        self._span = _native.start(self._method, self._group, self._fields)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        answered = {} if self.status is None else {_STATUS: self.status}
        if error is not None:
            span.fail(error, **answered)
        elif self.status is not None and _FAILED <= self.status < 1000:
            span.fail(f"HTTP {self.status}", **answered)
        else:
            span.end(**answered)
        self._parent.__exit__(kind, error, traceback)
