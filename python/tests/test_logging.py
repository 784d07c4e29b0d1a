"""`argus.logging.Handler`: what Python's logging says, in the store."""

from __future__ import annotations

import json
import logging
import threading

import pytest

import argus
import argus.logging


@pytest.fixture
def logger(request):
    """A logger of the test's own, unknown to the others, with nothing but our handler."""
    logger = logging.Logger(f"tests.{request.node.name}", level=1)
    logger.addHandler(argus.logging.Handler())
    return logger


@pytest.fixture
def lines(store, logger):
    """The lines behind each first one of the logger, with it."""

    def read():
        assert argus.flush(30), argus.stats()
        rows = store.query("SELECT * FROM log_entries WHERE source = 'logger' ORDER BY id")
        events, mine = [], False
        for row in rows:
            if not row["continues"]:
                mine = row["logger"] == logger.name
            if mine:
                events.append(row)
        return events

    return read


def check(row, **expected):
    assert {name: row[name] for name in expected} == expected


def test_a_record_is_a_line_with_level_logger_and_moment(logger, lines):
    logger.warning("%d of %s", 3, "four")
    (row,) = lines()
    check(row, log_line="3 of four", level="WARN", continues=None, message=None, attributes=None)
    said, captured = row["said_at_ns"], row["at_ns"]
    assert abs(said - captured) < 5_000_000_000


def test_levels_of_the_programs_own_count_as_the_standard_ones_below(logger, lines):
    for level in (5, 10, 15, 20, 25, 30, 40, 45, 50, 60):
        logger.log(level, "x")
    words = ["TRACE", "DEBUG", "DEBUG", "INFO", "INFO", "WARN", "ERROR", "ERROR", "FATAL", "FATAL"]
    assert [row["level"] for row in lines()] == words


def test_a_line_knows_the_span_in_which_it_was_written(logger, lines, store):
    logger.info("outside")
    with argus.span("logging_span"):
        logger.info("inside")
    outside, inside = lines()
    span = store.span("logging_span")
    check(outside, span_number=None)
    check(inside, span_number=span.span, span_producer_id=span.producer_id)


def test_a_traceback_stands_behind_the_message_as_one_event(logger, lines):
    try:
        raise ValueError("deep")
    except ValueError:
        logger.exception("it\nfailed")
    rows = lines()
    assert [row["continues"] or 0 for row in rows] == list(range(len(rows)))
    texts = [row["log_line"] for row in rows]
    assert texts[:3] == ["it", "failed", "Traceback (most recent call last):"]
    assert texts[-1] == "ValueError: deep"
    assert [row["level"] for row in rows] == ["ERROR"] + [None] * (len(rows) - 1)


def test_extra_becomes_attributes_and_ids_and_secrets_are_masked(logger, lines, store):
    extra = {"user": "ann", "db_password": "s3", "deep": {"token": "t", "n": [1, 2]}}
    logger.info("hello", extra={**extra, "request_id": "r-77"})
    (row,) = lines()
    assert json.loads(row["attributes"]) == {
        "user": "ann",
        "db_password": "***",
        "deep": {"token": "***", "n": [1, 2]},
        "request_id": "r-77",
    }
    assert "s3" not in row["attributes"]
    assert store.query("SELECT 1 FROM log_ids WHERE value = 'r-77'")


def test_a_formatter_makes_the_line_and_the_message_is_still_known(logger, lines):
    (handler,) = logger.handlers
    handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))
    logger.error("two\nlines")
    first, second = lines()
    check(first, log_line=f"ERROR [{logger.name}] two", message="two", attributes=None)
    check(second, log_line="lines", continues=1)


class Hostile:
    def __init__(self, error):
        self.error = error

    def __str__(self):
        raise self.error


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), RecursionError(), GeneratorExit()], ids=repr
)
def test_what_an_argument_raises_reaches_nobody(logger, lines, error, capsys):
    logger.info("before %s", Hostile(error))
    logger.info("%d", "no number")
    logger.info(Hostile(error))
    logger.info("fine", extra={"bad": Hostile(error), "nan": float("nan"), "\ud800": "\udfff"})
    rows = lines()
    assert [row["log_line"] for row in rows] == ["before %s", "%d", "<Hostile>", "fine"]
    attributes = json.loads(rows[-1]["attributes"])
    assert attributes["bad"].startswith("<Hostile at ")
    assert attributes["nan"] == "nan"
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_by_the_user_is_passed_on(logger):
    with pytest.raises(KeyboardInterrupt):
        logger.info("%s", Hostile(KeyboardInterrupt()))


def test_an_argument_that_logs_itself_ends(logger, lines):
    class Chatty:
        def __str__(self):
            logger.info("asked %s", self)
            return "chatty"

    logger.info("say %s", Chatty())
    assert [row["log_line"] for row in lines()] == ["asked %s", "say chatty"]


def test_a_record_that_is_none_is_told_as_such(logger, lines):
    record = logging.makeLogRecord({"name": logger.name, "msg": "x", "levelno": "high"})
    (handler,) = logger.handlers
    handler.emit(record)
    handler.emit(None)
    logger.info("after")
    assert [row["log_line"] for row in lines()] == ["after"]


def test_odd_texts_are_kept_and_long_ones_bounded(logger, lines):
    logger.info("")
    logger.info("lone \ud800 surrogate")
    logger.info("x" * 100_000)
    logger.info("\n".join(str(n) for n in range(5_000)))
    rows = lines()
    assert rows[0]["log_line"] == ""
    assert "lone" in rows[1]["log_line"]
    assert rows[1]["altered"]
    assert len(rows[2]["log_line"]) == 16 * 1024
    assert rows[2]["altered"]
    assert len(rows) == 3 + 1_001
    assert rows[-1]["log_line"] == "[4000 more lines]"


def test_threads_do_not_mix_their_events(logger, lines):
    def work(number):
        for n in range(50):
            logger.info("%d.%d\nsecond %d.%d", number, n, number, n)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [row["log_line"] for row in lines()]
    assert len(texts) == 400
    for first, second in zip(texts[::2], texts[1::2]):
        assert second == f"second {first}"


def test_the_warning_of_a_long_queue_can_be_recorded(run):
    done = run(
        """
        import argus, argus.logging, logging
        logging.getLogger().addHandler(argus.logging.Handler())
        @argus.monitor(queue_warning_threshold=100)
        def f(): return 1
        for _ in range(20_000): f()
        print(argus.stats()["emitted"])
        """,
        ARGUS_COLLECTOR="off",
    )
    assert done.out.split() == ["40001"]


def test_disabled_it_records_nothing(run):
    done = run(
        """
        import argus, argus.logging, logging
        logging.getLogger().addHandler(argus.logging.Handler())
        logging.warning("x %s", 1, extra={"a": 1})
        print(argus.stats()["emitted"])
        """,
        ARGUS_DISABLE="1",
    )
    assert (done.out.split(), done.err) == (["0"], "")
