"""The cell magic `%%argus`, in a real IPython shell."""

from __future__ import annotations

import html.parser
import json
import re

import pytest

pytest.importorskip("IPython")

START = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
import argus

shell = InteractiveShell.instance()
shell.colors = "nocolor"
shell.run_line_magic("load_ext", "argus.ipython")
shell.run_cell('''
import argus, threading, time
@argus.monitor
def parse(text, token=None):
    if not text: raise ValueError("nothing <b>to</b> parse")
    return text
@argus.monitor
def load(path, n=1):
    for _ in range(n): parse(path, token="s3")
    return n
''')

def cell(text, **options):
    with capture_output() as captured:
        result = shell.run_cell(text, **options)
    outputs = [output.data for output in captured.outputs]
    print(json.dumps({
        "ok": result.success, "outputs": outputs,
        "out": captured.stdout, "err": captured.stderr, "error": repr(result.error_in_exec),
    }))
"""


@pytest.fixture
def cells(run):
    """Runs cells; answers what became of each."""

    def start(program, **environment):
        done = run(START + program, **environment)
        return [json.loads(line) for line in done.out.splitlines()], done.store

    return start


def shape(text):
    """The calls of a trace, with a dot for each level."""
    lines = [re.match(r"\s*[\d.]+ (?:ns|µs|ms|s)…?  ( *)(.*)", line) for line in text.splitlines()]
    return [f"{'.' * (len(line[1]) // 2)}{line[2]}" for line in lines]


def test_a_cell_runs_as_ever_and_shows_its_trace(cells):
    (done,), store = cells(r"""
cell('''%%argus load prices
with argus.span("step", a=1):
    x = load("a<i>.csv", 2)
x + 1''')
assert shell.user_ns["x"] == 2
""")
    assert done["ok"]
    trace = done["outputs"][-1]
    assert shape(trace["text/plain"]) == [
        "load prices(number=1)",
        ".step(a=1)",
        "..__main__.load(path='a<i>.csv', n=2)",
        "...__main__.parse(text='a<i>.csv', token=***)",
        "...__main__.parse(text='a<i>.csv', token=***)",
    ]
    assert "3" in json.dumps(done["outputs"][:-1]) + done["out"]
    root = store.span("load prices")
    assert (root.parent, root.process_group, root.status) == (None, "notebook", "OK")


class Parser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text.append(data)


def test_a_cell_that_fails_fails_and_its_html_is_escaped(cells):
    (failed, after), store = cells(r"""
cell('''%%argus <script>alert(1)</script>
load("")''')
cell("%%argus\n1")
""")
    assert not failed["ok"]
    assert "CellFailed" in failed["error"]
    assert failed["out"].count("ValueError: nothing <b>to</b> parse") == 1
    assert "CellFailed" not in failed["out"] + failed["err"]
    trace = failed["outputs"][-1]
    assert trace["text/plain"].count("✗ ValueError: nothing <b>to</b> parse") == 3
    parser = Parser()
    parser.feed(trace["text/html"])
    assert parser.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert parser.attributes == {"style"}
    assert "<script>alert(1)</script>(number=1)" in parser.text
    assert "ValueError: nothing <b>to</b> parse" in parser.text
    assert shape(after["outputs"][-1]["text/plain"]) == ["cell(number=1)"]
    assert store.span("<script>alert(1)</script>").status == "ERR"


def test_a_cell_that_does_not_parse_fails(cells):
    (done,), _ = cells("cell('%%argus\\n1 +')")
    assert not done["ok"]
    assert "SyntaxError" in done["out"] + done["err"]


def test_long_traces_are_cut_and_open_spans_told(cells):
    (many, still), _ = cells(r"""
cell('''%%argus
_ = load("x", 1_000)''')
cell('''%%argus
handle = argus.Profiler("p").start("goes_on")''')
shell.user_ns["handle"].end()
""")
    lines = many["outputs"][-1]["text/plain"].splitlines()
    assert len(lines) == 201
    assert lines[-1] == "… and more: see `argus traces`"
    assert "… and more" in many["outputs"][-1]["text/html"]
    assert re.search(r"…    goes_on$", still["outputs"][-1]["text/plain"])


def test_without_recording_or_collector_the_cell_runs_all_the_same(cells):
    program = "cell('%%argus\\nx = 7')\nassert shell.user_ns['x'] == 7"
    (done,), _ = cells(program, ARGUS_DISABLE="1")
    assert done["outputs"] == [{"text/plain": "argus: the cell was not recorded"}]
    (done,), _ = cells(program, ARGUS_COLLECTOR="off")
    (told,) = done["outputs"]
    assert told["text/plain"].startswith("argus: no collector has stored the trace in time")


def test_it_can_be_unloaded(cells):
    (done,), _ = cells("""
shell.run_line_magic("unload_ext", "argus.ipython")
cell("%%argus\\n1")
""")
    assert "`%%argus` not found" in done["out"] + done["err"]
