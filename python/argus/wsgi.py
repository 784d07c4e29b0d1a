"""Requests of WSGI applications (Flask, Django, Bottle, Pyramid) as spans.

    import argus.wsgi

    app.wsgi_app = argus.wsgi.Middleware(app.wsgi_app)

Every request is a span named by its method, below the caller that sent a ``traceparent``; the calls it
makes stand inside it, those included that produce its body. Path, client and status are its fields, under
OpenTelemetry's names. A request that raises, or is answered with 500 or more, has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from argus import _native
from argus._request import Request

_Environment = dict[str, Any]
_Start = Callable[..., Any]
_App = Callable[[_Environment, _Start], Iterable[bytes]]


class Middleware:
    """Around a WSGI application."""

    def __init__(self, app: _App, process_group: str | None = None) -> None:
        """``process_group`` stands beside the requests' names in every listing."""
        self.app = app
        self.process_group = process_group

    def __call__(self, environ: _Environment, start_response: _Start) -> Iterable[bytes]:
        """Serves one request."""
        if _native.disabled():
            return self.app(environ, start_response)
        request = Request(
            method=environ.get("REQUEST_METHOD", "GET"),
            headers=_headers(environ),
            process_group=self.process_group,
            fields=_fields(environ),
        )

        def told(status: str, headers: Any, *more: Any) -> Any:
            request.status = int(status.split(None, 1)[0])
            return start_response(status, headers, *more)

        request.__enter__()
        try:
            body = self.app(environ, told)
        except BaseException as error:
            request.__exit__(type(error), error, error.__traceback__)
            raise
        return _Body(request, body)


class _Body:
    """The body on its way to the client: the request is over when the server closes it."""

    def __init__(self, request: Request, body: Iterable[bytes]) -> None:
        self._request = request
        self._body = body
        self._pieces: Iterator[bytes] | None = None
        if hasattr(body, "__len__"):
            # Some servers send the length by themselves where there is one piece.
            self.__class__ = _SizedBody

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except GeneratorExit:
            # The client wants no more of it; the server closes the body.
            raise
        except BaseException as error:
            self._request.__exit__(type(error), error, error.__traceback__)
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._request.__exit__(None, None, None)


class _SizedBody(_Body):
    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def _headers(environ: _Environment) -> dict[str, str]:
    names = {"HTTP_TRACEPARENT": "traceparent", "HTTP_TRACESTATE": "tracestate"}
    return {name: environ[key] for key, name in names.items() if key in environ}


def _fields(environ: _Environment) -> dict[str, Any]:
    fields = {"url.path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")}
    if "REMOTE_ADDR" in environ:
        fields["client.address"] = environ["REMOTE_ADDR"]
    return fields
