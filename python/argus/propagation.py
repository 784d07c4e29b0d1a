"""Traces across programs: what one tells another, so that its calls hang together (W3C Trace Context).

A program that calls another tells it where it is, and the other goes on from there::

    headers = argus.inject({"accept": "text/plain"})     # here
    with argus.continue_trace(request.headers):           # there
        ...

Threads, executors, and processes of this program need none of that: they go on by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Any, TypeVar

from argus import _native

__all__ = ["continue_trace", "inject", "traceparent", "wrap_client", "wrap_session"]

_PARENT = "traceparent"
_STATE = "tracestate"
# Says in ``tracestate`` that the trace is not recorded: the flag of ``traceparent`` alone may be that of
# a program which samples for itself.
_UNRECORDED = "argus=0"

_Headers = TypeVar("_Headers", bound=MutableMapping[str, str])


def traceparent() -> str | None:
    """Where the caller is, as the header ``traceparent``.

    ``None`` outside of any call that is recorded. Costs about a microsecond.
    """
    return _native.traceparent()


def inject(headers: _Headers) -> _Headers:
    """Adds what another program has to be told to ``headers``, and answers them.

    Nothing is added outside of any trace. In a trace that is left out by its sample rate the other
    program is told to leave it out as well.
    """
    parent = _native.traceparent()
    if parent is not None:
        headers[_PARENT] = parent
    elif _native.is_unrecorded():
        headers[_PARENT] = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"
        headers[_STATE] = ",".join(filter(None, [_UNRECORDED, headers.get(_STATE)]))
    return headers


def continue_trace(carrier: str | Mapping[str, str] | None) -> _native.Below:
    """A context manager in which calls have their parent in another program.

    ``carrier`` is a ``traceparent`` or the headers with one, in any case of letters. What is no
    ``traceparent`` means no parent.
    """
    if carrier is None or isinstance(carrier, str):
        return _native.Below(_recorded(carrier, None))
    found: dict[str, str] = {}
    for name, value in carrier.items():
        lower = name.lower()
        if lower in (_PARENT, _STATE):
            found[lower] = value
    return _native.Below(_recorded(found.get(_PARENT), found.get(_STATE)))


def _recorded(parent: str | None, state: str | None) -> str | None:
    """The parent with the flag that holds for us."""
    if parent is None:
        return None
    members = [member.strip() for member in (state or "").split(",")]
    return parent if _UNRECORDED in members else _with_flag(parent)


def _with_flag(parent: str) -> str:
    parts = parent.strip().split("-")
    if len(parts) > 3:
        parts[3] = "01"
    return "-".join(parts)


def wrap_session(session: Any) -> Any:
    """Makes a ``requests.Session`` tell every server where its caller is; answers the session."""
    send = session.send

    def told(request: Any, **options: Any) -> Any:
        inject(request.headers)
        return send(request, **options)

    session.send = told
    return session


def wrap_client(client: Any) -> Any:
    """Makes an ``httpx.Client`` or ``httpx.AsyncClient`` tell every server where its caller is."""

    def tell(request: Any) -> None:
        inject(request.headers)

    async def tell_in_task(request: Any) -> None:
        inject(request.headers)

    is_async = hasattr(client, "__aenter__")
    client.event_hooks["request"].append(tell_in_task if is_async else tell)
    return client
