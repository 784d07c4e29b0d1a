"""Coroutines, generators, and async generators: bodies that run in steps."""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest

import argus


@argus.monitor
async def add(a, b):
    await asyncio.sleep(0)
    return a + b


@argus.monitor
def count(n):
    for number in range(n):
        yield number
    return "done"


@argus.monitor
async def acount(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number


def test_inspect_knows_what_they_are():
    assert inspect.iscoroutinefunction(add)
    assert asyncio.iscoroutinefunction(add)
    assert inspect.isgeneratorfunction(count)
    assert inspect.isasyncgenfunction(acount)
    assert str(inspect.signature(add)) == "(a, b)"
    assert add.__qualname__ == "add"


def test_a_coroutine_is_recorded_with_arguments_and_result(recorded):
    assert asyncio.run(add(1, b=2)) == 3
    span = recorded("add")[-1]
    assert (span.arguments, span.result, span.status) == ({"a": "1", "b": "2"}, "3", "OK")


def test_a_coroutine_never_awaited_is_no_span(recorded):
    @argus.monitor
    async def never():
        return None

    never().close()
    assert recorded("never") == []


def test_the_span_covers_the_waiting(recorded):
    @argus.monitor
    async def waits():
        await asyncio.sleep(0.05)

    asyncio.run(waits())
    assert recorded("waits")[0].duration_ms >= 49


def test_tasks_that_interleave_keep_their_parents(recorded):
    @argus.monitor
    def sync_leaf(n):
        return n

    @argus.monitor
    async def leaf(n):
        await asyncio.sleep(0.001)
        return sync_leaf(n)

    @argus.monitor
    async def branch(n):
        await asyncio.sleep(0)
        before = sync_leaf(n)
        return before + await leaf(n)

    @argus.monitor
    async def root():
        return await asyncio.gather(*(branch(n) for n in range(50)))

    @argus.monitor
    def runs_the_loop():
        return asyncio.run(root())

    assert runs_the_loop() == [2 * n for n in range(50)]
    (runner,), (top,) = recorded("runs_the_loop"), recorded("root")
    branches = {span.span: span for span in recorded("branch")}
    leaves = {span.span: span for span in recorded("leaf")}
    assert top.parent == runner.span
    assert {span.parent for span in branches.values()} == {top.span}
    assert len(branches) == len(leaves) == 50
    for span in leaves.values():
        assert branches[span.parent].arguments == span.arguments
    everything = {**branches, **leaves}
    for span in recorded("sync_leaf"):
        assert everything[span.parent].arguments == span.arguments


def test_spans_by_hand_keep_to_their_task(recorded):
    @argus.monitor
    async def in_the_span(n):
        await asyncio.sleep(0)

    async def task(n):
        with argus.span("task_span", n=n):
            await asyncio.sleep(0.001)
            await in_the_span(n)

    async def main():
        await asyncio.gather(*(task(n) for n in range(20)))

    asyncio.run(main())
    spans = {span.span: span for span in recorded("task_span")}
    inside = recorded("in_the_span")
    assert len(spans) == len(inside) == 20
    assert all(span.parent is None for span in spans.values())
    for span in inside:
        assert spans[span.parent].arguments == span.arguments


def test_a_thread_started_by_a_task_knows_its_parent(recorded):
    @argus.monitor
    def in_a_thread():
        return None

    @argus.monitor
    async def sends_away():
        context = __import__("contextvars").copy_context()
        await asyncio.get_running_loop().run_in_executor(None, context.run, in_a_thread)

    asyncio.run(sends_away())
    assert recorded("in_a_thread")[0].parent == recorded("sends_away")[0].span


def test_an_exception_in_a_coroutine_passes_with_its_identity(recorded):
    error = ValueError("async")

    @argus.monitor
    async def raises_async():
        await asyncio.sleep(0)
        raise error

    with pytest.raises(ValueError, match="async") as caught:
        asyncio.run(raises_async())
    assert caught.value is error
    (span,) = recorded("raises_async")
    assert span.status == "ERR"
    assert "ValueError: async" in span.exception


def test_a_cancelled_task_ends_its_span(recorded):
    @argus.monitor
    async def cancelled():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (span,) = recorded("cancelled")
    assert span.status == "ERR"
    assert "CancelledError" in span.exception
    assert span.duration_ms < 10_000


def test_a_generator_records_its_first_value_and_its_whole_run(recorded):
    assert list(count(3)) == [0, 1, 2]
    span = recorded("count")[-1]
    assert (span.arguments, span.result, span.status) == ({"n": "3"}, "0", "OK")


def test_a_generator_passes_send_throw_and_return_value():
    @argus.monitor
    def echo():
        received = None
        while received != "stop":
            try:
                received = yield received
            except KeyError as error:
                received = error.args[0]
        return "returned"

    generator = echo()
    assert next(generator) is None
    assert generator.send(1) == 1
    assert generator.throw(KeyError("thrown")) == "thrown"
    with pytest.raises(StopIteration) as stopped:
        generator.send("stop")
    assert stopped.value.value == "returned"


def test_a_generator_not_run_is_no_span_and_one_abandoned_ends(recorded):
    @argus.monitor
    def abandoned(n):
        yield n
        yield n

    abandoned(1)
    generator = abandoned(2)
    assert next(generator) == 2
    del generator
    gc.collect()
    closed = abandoned(3)
    next(closed)
    closed.close()
    spans = recorded("abandoned")
    assert [(span.arguments["n"], span.result, span.status) for span in spans] == [
        ("2", "2", "OK"),
        ("3", "3", "OK"),
    ]


def test_what_the_consumer_does_is_not_inside_the_generator(recorded):
    @argus.monitor
    def producer():
        yield leaf_of("producer")
        yield leaf_of("producer")

    @argus.monitor
    def leaf_of(who):
        return who

    for _ in producer():
        leaf_of("consumer")
    (span,) = recorded("producer")
    parents = {(leaf.arguments["who"], leaf.parent) for leaf in recorded("leaf_of")}
    assert parents == {("'producer'", span.span), ("'consumer'", None)}


def test_a_generator_that_raises_is_an_error(recorded):
    @argus.monitor
    def breaks():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(breaks())
    (span,) = recorded("breaks")
    assert (span.status, span.result) == ("ERR", None)


def test_an_async_generator_records_its_first_value(recorded):
    async def main():
        return [number async for number in acount(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    span = recorded("acount")[-1]
    assert (span.arguments, span.result, span.status) == ({"n": "3"}, "0", "OK")


def test_an_async_generator_passes_asend_athrow_and_aclose(recorded):
    closed = []

    @argus.monitor
    async def aecho():
        received = None
        try:
            while True:
                try:
                    received = yield received
                except KeyError as error:
                    received = error.args[0]
        finally:
            closed.append(True)

    async def main():
        generator = aecho()
        assert await generator.__anext__() is None
        assert await generator.asend(1) == 1
        assert await generator.athrow(KeyError("thrown")) == "thrown"
        await generator.aclose()

    asyncio.run(main())
    assert closed == [True]
    (span,) = recorded("aecho")
    assert span.status == "OK"


def test_an_async_generator_that_raises_is_an_error(recorded):
    @argus.monitor
    async def abreaks():
        yield 1
        raise ValueError("broken")

    async def main():
        async for _ in abreaks():
            pass

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(main())
    assert recorded("abreaks")[0].status == "ERR"


def test_methods_can_be_coroutines():
    class Client:
        @argus.monitor
        async def get(self, key):
            return key

        @argus.monitor
        @classmethod
        async def make(cls):
            return cls

    assert asyncio.run(Client().get(1)) == 1
    assert asyncio.run(Client.make()) is Client


def test_an_unsampled_coroutine_is_silent_unless_it_raises(recorded):
    @argus.monitor(sample_rate=0.0)
    async def silent(n):
        await asyncio.sleep(0)
        return under(n)

    @argus.monitor
    def under(n):
        return 1 // n

    assert asyncio.run(silent(1)) == 1
    with pytest.raises(ZeroDivisionError):
        asyncio.run(silent(0))
    assert [span.arguments["n"] for span in recorded("silent")] == ["0"]
    assert [span.arguments["n"] for span in recorded("under")] == ["0"]
