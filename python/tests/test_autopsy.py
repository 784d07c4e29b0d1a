"""What `argus autopsy` and `argus run` tell of an instrumented program that dies in the middle of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

PROGRAM = """
import argus, os, signal, sys, threading, time


@argus.monitor
def pay(card, amount):
    print("paying", amount, flush=True)
    if sys.argv[1] == "kill":
        argus.flush(30)
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "raise":
        raise RuntimeError("declined")
    if sys.argv[1] == "exit":
        os._exit(3)


@argus.monitor
def quote(symbol):
    raise ValueError(f"no quote for {symbol}")


@argus.monitor
def checkout(order):
    try:
        quote("oil")
    except ValueError:
        pass
    pay("4711", 12.5)


@argus.monitor
def wait_for(what):
    running.set()
    time.sleep(60)


@argus.monitor
def serve():
    os.write(writer, b"x")
    time.sleep(60)


running = threading.Event()
threading.Thread(target=wait_for, args=("stock",), daemon=True).start()
running.wait()
reader, writer = os.pipe()
if os.fork() == 0:
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    serve()
os.read(reader, 1)
argus.metric("queue", 7)
with argus.span("order", number=7):
    checkout({"id": 7})
"""


@pytest.fixture
def argus_command(tmp_path):
    """Runs the command `argus` that belongs to this Python on a database of its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = shutil.which("argus", path=path)
    assert command, "the package brings the command"
    script = tmp_path / "shop.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "ARGUS_DB": str(tmp_path / "shop.db"), "ARGUS_BIN": command}
    environment.pop("NO_COLOR", None)

    def run(*arguments: str, program: list[str] | None = None):
        words = [command, *arguments, *(program or [])]
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return types.SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    run.program = lambda ending: [sys.executable, str(script), ending]
    run.environment = environment
    yield run
    told = run("autopsy", "shop", "--json")
    children = json.loads(told.out)["children"] if told.code == 0 else []
    for child in children:
        os.kill(child["pid"], signal.SIGKILL)


def open_calls(told):
    return [(call["process"].split(".")[-1], call["depth"]) for call in told["open"]]


def test_a_killed_program_is_reported_with_everything_it_had_open(argus_command):
    options = ["run", "--app-name", "shop", "--interval", "0.01", "--"]
    done = argus_command(*options, program=argus_command.program("kill"))
    assert (done.code, done.out) == (128 + 9, "paying 12.5\n")
    assert done.err.startswith("argus: shop (pid "), done.err
    assert "was killed by SIGKILL" in done.err
    for text in ("OPEN WHEN IT DIED: 4 calls in 2 threads", "pay(card='4711', amount=12.5)"):
        assert text in done.err
    assert "✗ ValueError: no quote for oil" in done.err
    assert "STILL ALIVE: 1 child (pid " in done.err
    assert "\x1b" not in done.err

    told = json.loads(argus_command("autopsy", "shop", "--json").out)
    assert told["end"]["signal"] == "SIGKILL"
    assert open_calls(told) == [("order", 0), ("checkout", 1), ("pay", 2), ("wait_for", 0)]
    assert told["open"][0]["elapsed_ms"] >= told["open"][2]["elapsed_ms"] >= 0
    assert told["open"][2]["arguments"] == {"card": "'4711'", "amount": "12.5"}
    assert [call["exception"].splitlines()[-1] for call in told["failed"]] == [
        "ValueError: no quote for oil"
    ]
    assert [line["line"] for line in told["logs"]] == ["paying 12.5"]
    assert [metric["name"] for metric in told["metrics"]] == ["queue"]
    assert told["samples"]
    (child,) = told["children"]
    os.kill(child["pid"], 0)
    living = json.loads(argus_command("autopsy", f"pid:{child['pid']}", "--json").out)
    assert (living["alive"], open_calls(living)) == (True, [("serve", 0)])


def test_without_an_observer_the_collector_tells_how_it_ended(argus_command):
    environment = {**argus_command.environment, "ARGUS_APP_NAME": "shop"}
    done = subprocess.run(
        argus_command.program("kill"), env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    told = json.loads(argus_command("autopsy", "shop", "--json").out)
    assert told["end"]["exit_code"] == -9
    assert [event["event_type"] for event in told["events"]] == ["terminated"]
    assert len(open_calls(told)) == 4


def test_a_raising_program_is_reported_and_a_plain_code_is_told_as_one(argus_command):
    options = ["run", "--app-name", "shop", "--"]
    done = argus_command(*options, program=argus_command.program("raise"))
    assert done.code == 1
    assert "RuntimeError: declined\nargus: shop (pid " in done.err, done.err
    assert "✗ RuntimeError: declined" in done.err
    done = argus_command(*options, program=argus_command.program("exit"))
    assert done.code == 3
    assert "ended with exit code 3\n" in done.err
    quiet = argus_command(
        *options[:1], "--no-autopsy", *options[1:], program=["sh", "-c", "exit 3"]
    )
    assert (quiet.code, quiet.err) == (3, "")
    told = argus_command("autopsy")
    assert told.out.startswith("shop (pid ")
    assert "ended with exit code 3" in told.out
