"""`argus run --instrument` on real packages: what is called is recorded, call by call."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

COUNTED = '''
"""Counts the calls of a package's functions with sys.setprofile."""
import atexit, collections, json, os, sys

part = f"{os.sep}site-packages{os.sep}{os.environ['COUNT_PACKAGE']}{os.sep}"
calls = collections.Counter()


def count(frame, event, argument):
    code = frame.f_code
    # Bodies of modules and classes, and comprehensions, run as functions do without being any.
    if event == "call" and part in code.co_filename and code.co_flags & 0x2:
        if not code.co_name.startswith("<") or code.co_name == "<lambda>":
            kind = "steps" if code.co_flags & 0x2A0 else "plain"
            # Some objects die with the interpreter, after the counting.
            kind = "late" if code.co_name in ("__del__", "close") else kind
            calls[code.co_filename, code.co_firstlineno, kind] += 1


def end():
    sys.setprofile(None)
    with open(os.environ["COUNTS"], "w") as file:
        json.dump([[*key, n] for key, n in calls.items()], file)


atexit.register(end)
sys.setprofile(count)
'''

PROGRAMS = {
    "mpmath": """
        import counted
        import mpmath
        from mpmath import mp
        mp.dps = 30
        print(mpmath.quad(lambda x: mpmath.exp(-x**2), [-mpmath.inf, mpmath.inf]))
        print(mpmath.zeta(3), mpmath.findroot(mpmath.sin, 3), mpmath.gamma(5.5))
        print(mpmath.matrix([[1, 2], [3, 4]]) ** -1, mpmath.hyp2f1(1, 2, 3, 0.5))
        print(mpmath.iv.mpf([1, 2]) * 2, mpmath.identify(0.5), mpmath.taylor(mpmath.cos, 0, 6))
        counted.end()
        """,
    "werkzeug": """
        import counted, gc, io
        from werkzeug.datastructures import MultiDict
        from werkzeug.exceptions import HTTPException
        from werkzeug.routing import Map, Rule
        from werkzeug.test import Client
        from werkzeug.utils import secure_filename
        from werkzeug.wrappers import Request, Response

        rules = Map([Rule("/", endpoint="i"), Rule("/p/<int:n>", endpoint="p")])

        @Request.application
        def app(request):
            try:
                endpoint, values = rules.bind_to_environ(request.environ).match()
            except HTTPException as error:
                return error
            told = (endpoint, sorted(values.items()), request.args.get("q"), request.form.get("z"))
            answer = Response(str(told))
            answer.set_cookie("c", "1")
            answer.set_etag("abc")
            return answer

        client = Client(app)
        for path in ("/", "/p/4?q=5", "/none", "/p/x"):
            for answer in (client.get(path), client.post(path, data={"z": "9"})):
                print(answer.status, answer.get_data(as_text=True), sorted(answer.headers))
        data = {"f": (io.BytesIO(b"hi"), "a.txt")}
        print(client.post("/", data=data).status, secure_filename("../a b.txt"))
        print(MultiDict([("a", 1), ("a", 2)]).getlist("a"))
        client = answer = None
        gc.collect()
        counted.end()
        """,
}


@pytest.mark.parametrize("package", PROGRAMS)
def test_all_functions_of_a_package_that_are_called_are_recorded(place, tmp_path, package):
    pytest.importorskip(package)
    place.write(counted=COUNTED, app=PROGRAMS[package])
    counts = tmp_path / "counts.json"
    environment = {"COUNTS": str(counts), "COUNT_PACKAGE": package}
    plain = place.run(sys.executable, "app.py", **environment)
    called = {(file, line): (kind, n) for file, line, kind, n in json.loads(counts.read_text())}
    instrumented = place.instrumented(f"{package}.*", "app.py", **environment)
    assert (instrumented.out, instrumented.code) == (plain.out, plain.code)
    recorded = Counter()
    for row in place.store.query(
        "SELECT file, line, count(*) AS n FROM spans JOIN names ON names.id = name_id GROUP BY 1, 2"
    ):
        recorded[row["file"], row["line"]] = row["n"]
    missing = [place for place in called if place not in recorded]
    assert len(called) > 200
    assert len(missing) <= len(called) * 0.05, missing
    (losses,) = place.store.query("SELECT coalesce(sum(normal + errors), 0) AS n FROM gaps")
    wrong = {
        place: (n, recorded[place])
        for place, (kind, n) in called.items()
        if kind == "plain" and recorded[place] != n
    }
    assert losses["n"] == 0
    assert not wrong
