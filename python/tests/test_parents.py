"""Parents: a call hangs on the call that asked for it, in whatever thread, task or process it runs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

import argus


@argus.monitor
def thread_outer(start):
    @argus.monitor
    def thread_inner():
        with argus.span("thread_deep"):
            pass

    start(thread_inner)


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_subclass(function):
    class Worker(threading.Thread):
        def run(self):
            function()

    worker = Worker()
    worker.start()
    worker.join()
    assert not any(name.startswith("_argus") for name in vars(worker))


def in_executor(function):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


def in_mapped_executor(function):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: function(), [0]))


def in_thread_pool(function):
    with ThreadPool(1) as pool:
        pool.apply(function)


def in_to_thread(function):
    asyncio.run(asyncio.to_thread(function))


def in_loops_executor(function):
    async def go():
        await asyncio.get_running_loop().run_in_executor(None, function)

    asyncio.run(go())


@pytest.mark.parametrize(
    "start",
    [
        in_thread,
        in_subclass,
        in_executor,
        in_mapped_executor,
        in_thread_pool,
        in_to_thread,
        in_loops_executor,
    ],
)
def test_a_call_in_another_thread_hangs_on_the_call_that_asked_for_it(recorded, start):
    thread_outer(start)
    outer = recorded("thread_outer")[-1]
    (inner,) = [span for span in recorded("thread_inner") if span.parent == outer.span]
    (deep,) = [span for span in recorded("thread_deep") if span.parent == inner.span]
    assert inner.tid != outer.tid
    assert deep.tid == inner.tid


def test_a_worker_is_free_again_after_its_task(recorded):
    @argus.monitor
    def free_asked(pool):
        pool.submit(lambda: None).result()

    @argus.monitor
    def free_later():
        pass

    with ThreadPoolExecutor(1) as pool:
        free_asked(pool)
        pool.submit(free_later).result()
    assert recorded("free_later")[0].parent is None


def test_a_worker_that_had_numbers_before_nests_rightly(recorded):
    """Its own spans are inside the one it was handed, however their numbers were given."""

    @argus.monitor
    def numbered_leaf():
        pass

    @argus.monitor
    def numbered_work():
        numbered_leaf()

    @argus.monitor
    async def numbered_task():
        await asyncio.to_thread(numbered_work)

    async def go():
        await asyncio.to_thread(numbered_leaf)
        await asyncio.gather(*(numbered_task() for _ in range(20)))

    asyncio.run(go())
    tasks = {span.span for span in recorded("numbered_task")}
    works = {span.span: span for span in recorded("numbered_work")}
    assert len(works) == 20
    assert {work.parent for work in works.values()} == tasks
    leaves = recorded("numbered_leaf")
    assert sorted(works) == sorted(leaf.parent for leaf in leaves if leaf.parent is not None)
    assert len(leaves) == 21


def test_tasks_hang_on_who_made_them(recorded):
    @argus.monitor
    async def task_leaf(number):
        await asyncio.sleep(0)

    @argus.monitor
    async def task_branch(number):
        await asyncio.gather(*(task_leaf(number) for _ in range(3)))

    @argus.monitor
    async def task_root():
        cancelled = asyncio.create_task(asyncio.sleep(60))
        await asyncio.gather(task_branch(1), task_branch(2))
        cancelled.cancel()

    asyncio.run(task_root())
    (root,) = recorded("task_root")
    branches = {span.arguments["number"]: span for span in recorded("task_branch")}
    assert {branch.parent for branch in branches.values()} == {root.span}
    leaves = recorded("task_leaf")
    assert len(leaves) == 6
    assert all(leaf.parent == branches[leaf.arguments["number"]].span for leaf in leaves)


def test_a_cancelled_task_ends_and_leaves_no_trace_behind(recorded):
    @argus.monitor
    async def cancelled_inner():
        await asyncio.sleep(60)

    @argus.monitor
    async def cancelled_after():
        pass

    async def go():
        task = asyncio.create_task(cancelled_inner())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled_after()

    asyncio.run(go())
    (inner,) = recorded("cancelled_inner")
    assert inner.status == "ERR"
    assert "CancelledError" in inner.exception
    assert recorded("cancelled_after")[0].parent is None


def test_a_pools_worker_belongs_to_nobody(run):
    done = run(
        """
        import multiprocessing
        import argus

        @argus.monitor
        def asked():
            pass

        @argus.monitor
        def opens():
            return multiprocessing.get_context("fork").Pool(1)

        pool = opens()
        pool.apply(asked)
        pool.close()
        pool.join()
        assert argus.flush(30)
        """
    )
    assert len(done.store.spans("asked")) == 1
    assert remote_parents(done.store) == {}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_hangs_on_the_call_that_started_it(run, method):
    done = run(
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import argus

        @argus.monitor
        def work(number):
            return number

        @argus.monitor
        def start_one(context):
            process = context.Process(target=work, args=(1,))
            process.start()
            process.join()
            assert process.exitcode == 0

        @argus.monitor
        def ask_pool(context):
            with context.Pool(2) as pool:
                assert pool.map(work, [2, 3]) == [2, 3]
                assert pool.apply(work, [4]) == 4
                assert sorted(pool.imap_unordered(work, [5])) == [5]

        @argus.monitor
        def ask_executor(context):
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                assert pool.submit(work, 6).result() == 6

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            start_one(context)
            ask_pool(context)
            ask_executor(context)
            assert argus.flush(30)
        """
    )
    callers = {"1": "start_one", "6": "ask_executor"}
    ids = span_ids(done.store, "start_one", "ask_pool", "ask_executor")
    works = done.store.spans("work")
    assert sorted(work.arguments["number"] for work in works) == list("123456")
    links = remote_parents(done.store)
    for work in works:
        assert work.parent is None
        caller = callers.get(work.arguments["number"], "ask_pool")
        assert links[work.producer_id, work.span][1] == ids[caller], caller


def test_a_forked_child_hangs_on_the_call_that_forked(run):
    done = run(
        """
        import os
        import argus

        @argus.monitor
        def in_child():
            pass

        @argus.monitor
        def forks():
            pid = os.fork()
            if pid == 0:
                in_child()
                assert argus.flush(30)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0

        @argus.monitor
        def outermost():
            forks()

        outermost()
        assert argus.flush(30)
        """
    )
    (child,) = done.store.spans("in_child")
    (root,) = done.store.spans("outermost")
    trace, parent = remote_parents(done.store)[child.producer_id, child.span]
    assert parent == span_ids(done.store, "forks")["forks"]
    assert trace == trace_id(done.store, root)


def test_a_trace_goes_on_in_another_program(run):
    done = run(
        """
        import argus

        GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

        @argus.monitor
        def served():
            headers = argus.inject({})
            assert headers["traceparent"].startswith(GIVEN[:36])
            assert headers["traceparent"] != GIVEN
            inner()

        @argus.monitor
        def inner():
            pass

        assert argus.traceparent() is None and argus.inject({}) == {}
        with argus.continue_trace({"Host": "x", "TraceParent": GIVEN}):
            assert argus.traceparent() == GIVEN
            served()
        with argus.continue_trace("nonsense"), argus.continue_trace(None):
            inner()
        # Whoever samples for itself does not decide for us; one of ours does.
        foreign = GIVEN[:-2] + "00"
        with argus.continue_trace(foreign):
            served()
        with argus.continue_trace({"traceparent": foreign, "tracestate": "a=b, argus=0"}):
            assert argus.traceparent() is None
            assert argus.inject({"tracestate": "a=b"})["tracestate"] == "argus=0,a=b"
            inner()
        assert argus.flush(30)
        """
    )
    served = done.store.spans("served")
    links = remote_parents(done.store)
    given = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert [links[span.producer_id, span.span] for span in served] == [given, given]
    assert len(links) == 2
    inner = done.store.spans("inner")
    assert [span.parent for span in inner] == [served[0].span, None, served[1].span]


def test_a_request_in_a_task_belongs_to_its_sender_not_to_who_runs_the_loop(run):
    done = run(
        """
        import asyncio
        import argus

        @argus.monitor
        async def handle(number):
            await asyncio.sleep(0)
            assert argus.traceparent()[3:35] == f"{number:032x}"

        async def request(number):
            with argus.continue_trace(f"00-{number:032x}-{number:016x}-01"):
                await handle(number)

        @argus.monitor
        def serve():
            async def main():
                await asyncio.gather(*(request(number) for number in range(1, 50)))
            asyncio.run(main())

        serve()
        assert argus.flush(30)
        """
    )
    links = remote_parents(done.store)
    handled = done.store.spans("handle")
    assert len(handled) == 49
    for span in handled:
        number = int(span.arguments["number"])
        assert links[span.producer_id, span.span] == (f"{number:032x}", f"{number:016x}")


def remote_parents(store):
    """Trace and parent span by producer and span."""
    rows = store.query("SELECT * FROM remote_parents")
    return {
        (row["producer_id"], row["number"]): (row["trace_id"], row["parent_span_id"])
        for row in rows
    }


def _nonce(store, span):
    (row,) = store.query("SELECT producer FROM producers WHERE id = ?", span.producer_id)
    return int(row["producer"].rsplit("-", 1)[1], 16)


_LOW = (1 << 64) - 1


def _mix(number):
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _LOW
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _LOW
    return number ^ (number >> 31)


def span_ids(store, *names):
    """The ids by which other programs know the one span of each name."""
    ids = {}
    for name in names:
        span = store.span(name)
        ids[name] = f"{_mix((span.span + _nonce(store, span)) & _LOW):016x}"
    return ids


def trace_id(store, root):
    nonce = _nonce(store, root)
    high = _mix(nonce ^ int.from_bytes(b"argus_tr", "big"))
    return f"{high:016x}{_mix((root.span + nonce) & _LOW):016x}"
