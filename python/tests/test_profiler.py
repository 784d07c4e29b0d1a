"""`argus.Profiler`: spans that are started and ended by hand."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import argus

profiler = argus.Profiler("profiler_own", process_group="tests.profiler")


def test_a_started_span_is_open_at_once_and_ends_with_its_fields(recorded, store):
    handle = profiler.start("profiler_basic", path="a.csv", password="s3")
    assert argus.flush(30)
    (row,) = store.query(
        "SELECT n.process_group FROM open_spans JOIN names n ON n.id = name_id"
        " WHERE n.text = 'profiler_basic'"
    )
    assert row["process_group"] == "tests.profiler"
    assert handle.end(rows=3, token="t") is True
    (span,) = recorded("profiler_basic")
    assert (span.status, span.process_group) == ("OK", "tests.profiler")
    assert span.arguments == {"path": "'a.csv'", "password": "***"}
    assert span.locals == {"rows": "3", "token": "***"}


def test_only_the_first_end_counts(recorded):
    handle = profiler.start("profiler_twice")
    assert handle.end()
    assert not handle.end(late=1)
    assert not handle.fail(ValueError("late"))
    (span,) = recorded("profiler_twice")
    assert (span.status, span.locals) == ("OK", {})


def test_a_failure_is_an_exception_or_a_text(recorded):
    def failing():
        raise ValueError("deep")

    handle = profiler.start("profiler_fails")
    with pytest.raises(ValueError, match="deep") as raised:
        failing()
    assert handle.fail(raised.value, tried=2)
    assert profiler.start("profiler_fails").fail("no stock")
    assert profiler.start("profiler_fails").fail(7)
    deep, told, odd = recorded("profiler_fails")
    assert "in failing" in deep.exception
    assert deep.exception.rstrip().endswith("ValueError: deep")
    assert deep.locals == {"tried": "2"}
    assert told.exception == "no stock"
    assert (odd.status, odd.exception) == ("ERR", "int")


@argus.monitor
def profiler_called():
    return None


def test_calls_stand_inside_the_innermost_open_span_whatever_the_order_of_ends(recorded):
    with argus.span("profiler_outside"):
        first = profiler.start("profiler_first")
        second = profiler.start("profiler_second")
        profiler_called()
        first.end()
        profiler_called()
        second.end()
        profiler_called()
        third = profiler.start("profiler_third")
    profiler_called()
    third.end()
    profiler_called()
    calls = [span.parent for span in recorded("profiler_called")]
    outside, first, second, third = (
        recorded(f"profiler_{name}")[0] for name in ("outside", "first", "second", "third")
    )
    assert calls == [second.span, second.span, outside.span, third.span, None]
    assert (first.parent, second.parent) == (outside.span, first.span)
    assert third.parent == outside.span


def test_a_block_leaves_nothing_of_the_span_around_it_behind(recorded):
    handle = profiler.start("profiler_around")
    with argus.span("profiler_inside"):
        pass
    handle.end()
    with argus.span("profiler_afterwards"):
        pass
    assert recorded("profiler_inside")[0].parent == recorded("profiler_around")[0].span
    assert recorded("profiler_afterwards")[0].parent is None


def test_a_function_may_end_what_its_caller_started(recorded):
    @argus.monitor
    def profiler_ends(handle):
        handle.end()

    profiler_ends(profiler.start("profiler_given_away"))
    with argus.span("profiler_after"):
        pass
    (given,) = recorded("profiler_given_away")
    assert recorded("profiler_ends")[0].parent == given.span
    assert recorded("profiler_after")[0].parent is None


def test_another_thread_may_end_it(recorded):
    handles = [profiler.start("profiler_elsewhere", n=n) for n in range(100)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda handle: handle.end(), handles))
    spans = recorded("profiler_elsewhere")
    assert [span.status for span in spans] == ["OK"] * 100
    with argus.span("profiler_here"):
        pass
    assert recorded("profiler_here")[0].parent is None


def test_threads_race_for_one_end(recorded):
    for _ in range(50):
        handle = profiler.start("profiler_race")
        barrier = threading.Barrier(4)

        def end(handle=handle, barrier=barrier):
            barrier.wait()
            return handle.end()

        with ThreadPoolExecutor(4) as pool:
            assert sum(future.result() for future in [pool.submit(end) for _ in range(4)]) == 1
    assert len(recorded("profiler_race")) == 50


def test_a_dropped_handle_says_so(recorded):
    profiler.start("profiler_dropped")
    (span,) = recorded("profiler_dropped")
    assert (span.status, span.exception) == ("ERR", "not ended: its handle was dropped")


def test_tasks_have_their_own_open_spans(recorded):
    async def work(n):
        handle = profiler.start("profiler_task", n=n)
        await asyncio.sleep(0.001)
        profiler_in_task()
        handle.end()

    @argus.monitor
    def profiler_in_task():
        pass

    async def main():
        await asyncio.gather(*(work(n) for n in range(20)))

    asyncio.run(main())
    tasks = recorded("profiler_task")
    assert [span.parent for span in tasks] == [None] * 20
    assert {span.parent for span in recorded("profiler_in_task")} == {span.span for span in tasks}


def test_measure_is_a_block(recorded):
    with profiler, profiler.measure("profiler_block", rows=1):
        profiler_called()
    with pytest.raises(ZeroDivisionError), profiler.measure("profiler_block"):
        1 / 0
    good, bad = recorded("profiler_block")
    (own,) = recorded("profiler_own")
    assert (good.parent, good.arguments) == (own.span, {"rows": "1"})
    assert (bad.parent, bad.status) == (None, "ERR")


def test_measure_decorates_functions_and_coroutine_functions(recorded):
    class Shop:
        @profiler.measure("profiler_method")
        def price(self, n):
            """Doc."""
            return n and self.price(n - 1)

        @staticmethod
        @profiler.measure("profiler_static")
        def total():
            return 7

    @profiler.measure("profiler_async")
    async def fetch(n):
        await asyncio.sleep(0.001)
        return n

    async def main():
        return await asyncio.gather(*(fetch(n) for n in range(5)))

    assert Shop().price(2) == 0
    assert Shop.price.__doc__ == "Doc."
    assert Shop.total() == 7
    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
    outer, middle, inner = recorded("profiler_method")
    assert (middle.parent, inner.parent) == (outer.span, middle.span)
    assert [span.parent for span in recorded("profiler_async")] == [None] * 5


def test_one_measure_serves_several_threads_at_once(recorded):
    shared = profiler.measure("profiler_shared")
    both = threading.Barrier(2)

    def work():
        with shared:
            both.wait()
            profiler_called()
            both.wait()

    before = len(recorded("profiler_called"))
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = {span.tid: span.span for span in recorded("profiler_shared")}
    calls = recorded("profiler_called")[before:]
    assert len(spans) == 2
    assert {call.tid: call.parent for call in calls} == spans


def test_generators_and_wrong_types_are_refused():
    with pytest.raises(TypeError, match=r"argus\.monitor can"):

        @profiler.measure("x")
        def generator():
            yield 1

    with pytest.raises(TypeError, match="not 'int'"):
        profiler.measure("x")(7)
    with pytest.raises(TypeError, match="process_group"):
        argus.Profiler("x", process_group=7)
    with pytest.raises(TypeError, match="name"):
        argus.Profiler(7)


def test_a_forked_child_ends_nothing_of_its_parent(run):
    done = run("""
        import argus, os
        profiler = argus.Profiler("p")
        handle = profiler.start("before_fork")
        pid = os.fork()
        if pid == 0:
            code = handle.end()
            with argus.span("in_child"): pass
            argus.flush(30)
            os._exit(3 if code else 4)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), handle.end())
        assert argus.flush(30)
    """)
    assert done.out.split() == ["4", "True"]
    assert done.store.span("before_fork").status == "OK"
    assert done.store.span("in_child").parent is None


def test_what_is_open_at_the_end_is_interrupted_and_a_deep_chain_is_no_danger(run):
    done = run("""
        import argus
        profiler = argus.Profiler("p")
        left_open = profiler.start("left_open")
        chain = [profiler.start("chain") for _ in range(100_000)]
        for handle in chain[::-2] + chain[::2]: handle.end()
        del chain, handle
        with argus.span("last"): pass
        assert argus.flush(60)
    """)
    deadline = time.monotonic() + 30
    while not done.store.spans("left_open") and time.monotonic() < deadline:
        time.sleep(0.05)
    left = done.store.span("left_open")
    assert left.exception.startswith("interrupted:")
    assert done.store.span("last").parent == left.span
    ((chain,),) = done.store.query("SELECT count(*) FROM process_trace WHERE process = 'chain'")
    assert chain == 100_000


def test_disabled_it_does_nothing(run):
    done = run(
        """
        import argus
        profiler = argus.Profiler("p")
        def f(): return 1
        with profiler, profiler.measure("m"): h = profiler.start("x")
        print(h.end(), h.end(), profiler.measure("x")(f) is f, argus.stats()["emitted"])
        """,
        ARGUS_DISABLE="1",
    )
    assert done.out.split() == ["True", "False", "True", "0"]


def test_importing_the_package_does_not_import_it():
    program = "import sys, argus; print('argus._profiler' in sys.modules, 'logging' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"False"]
