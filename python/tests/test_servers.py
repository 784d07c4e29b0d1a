"""Requests under the servers that people run: FastAPI, Flask and Django, each span counted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import pytest

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENT = 20

FASTAPI = """
import argus
import argus.asgi
import fastapi

app = fastapi.FastAPI()

@argus.monitor
async def load(number):
    return {"number": number}

@app.get("/item/{number}")
async def item(number: int):
    return await load(number)

@app.get("/broken")
async def broken():
    raise ValueError("no quote")

@app.get("/refused")
async def refused():
    raise fastapi.HTTPException(503)

app = argus.asgi.Middleware(app, process_group="shop")
"""

FLASK = """
import argus
import argus.wsgi
import flask

app = flask.Flask("shop")

@argus.monitor
def load(number):
    return {"number": number}

@app.get("/item/<int:number>")
def item(number):
    return load(number)

@app.get("/broken")
def broken():
    raise ValueError("no quote")

@app.get("/refused")
def refused():
    flask.abort(503)

app.wsgi_app = argus.wsgi.Middleware(app.wsgi_app, process_group="shop")
app.config["PROPAGATE_EXCEPTIONS"] = True
"""

DJANGO = """
import argus
import argus.wsgi
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", LOGGING_CONFIG=None)

@argus.monitor
def load(number):
    return {"number": number}

def item(request, number):
    return JsonResponse(load(number))

def broken(request):
    raise ValueError("no quote")

def refused(request):
    return HttpResponse(status=503)

urlpatterns = [path("item/<int:number>", item), path("broken", broken), path("refused", refused)]
app = argus.wsgi.Middleware(get_wsgi_application(), process_group="shop")
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def uvicorn(port, *more):
    return ["-m", "uvicorn", "shop:app", "--port", str(port), "--log-level", "warning", *more]


def gunicorn(port, *more):
    return ["-m", "gunicorn", "shop:app", "-b", f"127.0.0.1:{port}", "--log-level", "error", *more]


SERVERS = {
    "fastapi under uvicorn": (FASTAPI, ["fastapi", "uvicorn"], uvicorn, []),
    "flask under gunicorn, preloaded": (
        FLASK,
        ["flask", "gunicorn"],
        gunicorn,
        ["--preload", "-w2"],
    ),
    "flask under gunicorn, threads": (FLASK, ["flask", "gunicorn"], gunicorn, ["--threads", "4"]),
    "django under gunicorn": (DJANGO, ["django", "gunicorn"], gunicorn, ["-w2"]),
}


@contextlib.contextmanager
def served(tmp_path, application, arguments):
    (tmp_path / "shop.py").write_text(textwrap.dedent(application))
    environment = {**os.environ, "ARGUS_DB": str(tmp_path / "served.db")}
    with open(tmp_path / "said", "w+") as said:
        server = subprocess.Popen(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, stdout=said, stderr=said
        )
        try:
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
            said.seek(0)
            print(said.read())


def get(port, path, headers=()):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def until_it_answers(server, port):
    for _ in range(600):
        with contextlib.suppress(OSError):
            return get(port, "/nothing-here")
        assert server.poll() is None
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


@pytest.mark.parametrize("name", SERVERS)
def test_every_request_is_a_span_below_its_sender(tmp_path, store_at, name):
    application, modules, command, options = SERVERS[name]
    for module in modules:
        pytest.importorskip(module)
    port = free_port()
    with served(tmp_path, application, command(port, *options)) as server:
        assert until_it_answers(server, port) == 404
        for number in range(SENT):
            assert get(port, f"/item/{number}", {"traceparent": GIVEN}) == 200
        assert get(port, "/broken") == 500
        assert get(port, "/refused") == 503
    store = store_at(tmp_path / "served.db")
    requests = settled(store, SENT + 3)
    assert {span.process_group for span in requests} == {"shop"}
    loads = store.spans("load")
    assert sorted(int(span.arguments["number"]) for span in loads) == list(range(SENT))
    by_span = {(span.producer_id, span.span): span for span in requests}
    asked = [by_span[span.producer_id, span.parent] for span in loads]
    assert sorted(int(span.arguments["url.path"].strip("'")[6:]) for span in asked) == list(
        range(SENT)
    )
    assert {span.locals["http.response.status_code"] for span in asked} == {"200"}
    assert {span.status for span in asked} == {"OK"}
    links = store.query("SELECT producer_id, number, trace_id, parent_span_id FROM remote_parents")
    given = {(row["producer_id"], row["number"]): (row[2], row[3]) for row in links}
    for span in asked:
        assert given.pop((span.producer_id, span.span)) == tuple(GIVEN.split("-")[1:3])
    assert given == {}, "nobody else has a parent elsewhere"
    failed = {span.arguments["url.path"]: span for span in requests if span.status == "ERR"}
    assert set(failed) == {"'/broken'", "'/refused'"}
    assert failed["'/refused'"].exception == "HTTP 503"
    assert failed["'/refused'"].locals["http.response.status_code"] == "503"
    said = failed["'/broken'"].exception
    assert "no quote" in said or said == "HTTP 500"


def settled(store, count):
    """The requests' spans, once the collector has them all."""
    for _ in range(600):
        with contextlib.suppress(Exception):
            spans = store.spans("GET")
            if len(spans) >= count:
                assert len(spans) == count
                return spans
        time.sleep(0.05)
    raise AssertionError(f"{len(store.spans('GET'))} of {count} requests")


def test_clients_tell_where_they_are(run):
    pytest.importorskip("httpx")
    pytest.importorskip("requests")
    done = run(
        """
        import asyncio, http.server, threading
        import argus, httpx, requests
        from argus.propagation import wrap_client, wrap_session

        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, self.headers["traceparent"]))
                self.send_response(204)
                self.end_headers()
            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"

        async def ask():
            async with wrap_client(httpx.AsyncClient(trust_env=False)) as client:
                await client.get(url + "/async")

        @argus.monitor
        def asks():
            session = wrap_session(requests.Session())
            session.trust_env = False
            session.get(url + "/requests")
            with wrap_client(httpx.Client(trust_env=False)) as client:
                client.get(url + "/httpx")
            asyncio.run(ask())
            return argus.traceparent()

        mine = asks()
        assert seen == [("/requests", mine), ("/httpx", mine), ("/async", mine)], (seen, mine)
        """
    )
    assert done.store is not None


def test_a_client_that_wants_no_more_of_a_body_is_no_failure(recorded):
    import argus.wsgi

    def application(environ, start_response):
        start_response("200 OK", [])
        yield from (b"one", b"two", b"three")

    served = argus.wsgi.Middleware(application)
    body = served({"REQUEST_METHOD": "PATCH", "PATH_INFO": "/much"}, lambda status, headers: None)
    pieces = iter(body)
    assert next(pieces) == b"one"
    # The server's loop is left before it closes the body.
    del pieces
    body.close()
    (span,) = recorded("PATCH")
    assert (span.status, span.locals["http.response.status_code"]) == ("OK", "200")
