"""A million calls, from threads and from processes: every one a span, with the right parent."""

from __future__ import annotations

OUTER = 2_500
INNER = 99
CALLS = OUTER * (INNER + 1)

PROGRAM = f"""
import argus, multiprocessing, threading
@argus.monitor
def inner(n): return n
@argus.monitor
def outer(worker, n):
    for i in range({INNER}): inner(i)
def work(worker):
    for n in range({OUTER}): outer(worker, n)
"""


def check(store) -> None:
    ((spans, failed),) = store.query("SELECT count(*), count(exception) FROM process_trace")
    assert (spans, failed) == (4 * CALLS, 0)
    ((roots,),) = store.query(
        "SELECT count(*) FROM process_trace WHERE process LIKE '%outer' AND parent IS NULL"
    )
    assert roots == 4 * OUTER
    # Every outer span holds all of its inner ones, of its own program and thread.
    wrong = store.query(
        "WITH outers AS (SELECT producer_id, span, thread FROM process_trace"
        "                WHERE process LIKE '%outer'),"
        " families AS (SELECT producer_id, parent, thread, count(*) AS children FROM process_trace"
        "              WHERE process LIKE '%inner' GROUP BY producer_id, parent, thread)"
        " SELECT count(*) FROM outers AS o LEFT JOIN families AS f"
        " ON f.producer_id = o.producer_id AND f.parent = o.span AND f.thread = o.thread"
        f" WHERE f.children IS NOT {INNER}"
    )
    assert wrong[0][0] == 0
    ((lost,),) = store.query("SELECT sum(damaged + unknown) FROM producers")
    assert lost == 0


def test_a_million_calls_from_four_threads_are_a_million_spans(run):
    done = run(
        PROGRAM
        + """
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert argus.flush(110), argus.stats()
print(argus.stats()["emitted"], argus.stats()["dropped"])
"""
    )
    assert done.out.split() == [str(8 * CALLS), "0"]
    assert "locked" not in done.err
    check(done.store)


def test_a_million_calls_from_four_processes_are_a_million_spans(run):
    done = run(
        PROGRAM
        + """
def main(worker):
    work(worker); assert argus.flush(110), argus.stats()
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=main, args=(n,)) for n in range(4)]
    for process in processes: process.start()
    for process in processes: process.join()
    print([process.exitcode for process in processes])
"""
    )
    assert done.out.strip() == "[0, 0, 0, 0]"
    assert "locked" not in done.err
    check(done.store)
