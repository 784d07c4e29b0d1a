"""Requests of ASGI applications (FastAPI, Starlette, Django, Quart) as spans.

    import argus.asgi

    app = argus.asgi.Middleware(app)

Every request is a span named by its method, below the caller that sent a ``traceparent``; the calls it
makes stand inside it. Path, client and status are its fields, under OpenTelemetry's names. A request that
raises, or is answered with 500 or more, has failed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from argus import _native
from argus._request import Request

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Middleware:
    """Around an ASGI application. What is no request (the lifespan) passes unseen."""

    def __init__(self, app: _App, process_group: str | None = None) -> None:
        """``process_group`` stands beside the requests' names in every listing."""
        self.app = app
        self.process_group = process_group

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serves one connection."""
        kind = scope["type"]
        if kind not in ("http", "websocket") or _native.disabled():
            await self.app(scope, receive, send)
            return
        request = Request(
            method=scope.get("method") or "WEBSOCKET",
            headers=_texts(scope.get("headers") or ()),
            process_group=self.process_group,
            fields=_fields(scope),
        )

        async def told(message: _Message) -> None:
            if message["type"] in ("http.response.start", "websocket.close"):
                request.status = message.get("status") or message.get("code")
            await send(message)

        with request:
            await self.app(scope, receive, told)


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def _fields(scope: _Message) -> dict[str, Any]:
    fields = {"url.path": scope.get("root_path", "") + scope.get("path", "")}
    client = scope.get("client")
    if client:
        fields["client.address"] = client[0]
    return fields
