"""`@argus.monitor` on functions and methods: what it records, and what it leaves as it was."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import json
import pickle
import sys
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import argus


@argus.monitor
def documented(a: int, b: str = "x", *rest, c=1, **more) -> str:
    """What it does."""
    return b * a


def undecorated(a: int, b: str = "x", *rest, c=1, **more) -> str:
    """What it does."""
    return b * a


def test_name_documentation_and_module_stay():
    assert documented.__name__ == "documented"
    assert documented.__qualname__ == "documented"
    assert documented.__doc__ == "What it does."
    assert documented.__module__ == __name__
    assert documented.__annotations__ == undecorated.__annotations__
    assert documented.__defaults__ == ("x",)
    assert documented.__kwdefaults__ == {"c": 1}
    assert documented.__code__.co_name == "documented"
    assert "function documented" in repr(documented)


def test_inspect_answers_as_before():
    assert inspect.signature(documented) == inspect.signature(undecorated)
    assert inspect.isfunction(documented)
    assert inspect.isroutine(documented)
    assert isinstance(documented, types.FunctionType)
    assert not inspect.iscoroutinefunction(documented)
    assert "return b * a" in inspect.getsource(documented)
    assert inspect.unwrap(documented) is documented.__wrapped__


def test_it_pickles_by_name_and_copies_as_itself():
    assert pickle.loads(pickle.dumps(documented)) is documented
    assert copy.copy(documented) is documented
    assert copy.deepcopy(documented) is documented
    assert pickle.loads(pickle.dumps(Shop.total)) is Shop.total


def test_attributes_can_be_set_and_defaults_reach_the_function():
    @argus.monitor
    def changing(a=1):
        return a

    changing.mark = 7
    changing.__defaults__ = (2,)
    assert changing.mark == 7
    assert changing() == 2


def test_it_can_be_referenced_weakly_and_collected():
    @argus.monitor
    def short_lived():
        return None

    short_lived.itself = short_lived
    reference = weakref.ref(short_lived)
    assert reference() is short_lived
    del short_lived
    gc.collect()
    assert reference() is None


def test_functools_work_on_it():
    assert functools.partial(documented, 2)("y") == "yy"
    cached = functools.lru_cache(documented)
    assert cached(2) == cached(2) == "xx"
    assert functools.wraps(documented)(lambda: None).__name__ == "documented"


def test_its_type_makes_no_objects_by_itself():
    with pytest.raises(TypeError):
        type(documented)()


def test_arguments_and_result_are_recorded(recorded):
    documented(2, "z", 3, 4, c=5, d=6)
    span = recorded("documented")[-1]
    assert span.arguments == {"a": "2", "b": "'z'", "rest": "(3, 4)", "c": "5", "d": "6"}
    assert span.result == "'zz'"
    assert span.status == "OK"
    assert span.exception is None
    assert span.process == f"{__name__}.documented"


def test_capture_can_be_turned_off(recorded):
    @argus.monitor("group.a", capture={"args": False, "result": False})
    def captures_nothing(a):
        return a

    captures_nothing(1)
    (span,) = recorded("captures_nothing")
    assert (span.arguments, span.result, span.process_group) == ({}, None, "group.a")


def test_wrong_arguments_raise_as_before_and_are_recorded(recorded):
    @argus.monitor
    def takes_one(a):
        return a

    with pytest.raises(
        TypeError, match=r"takes_one\(\) takes 1 positional argument but 3 were given"
    ):
        takes_one(1, 2, 3)
    assert recorded("takes_one")[0].status == "ERR"


def test_bad_options_are_refused_where_they_are_written():
    for options in ({"capture": {"arg": True}}, {"sample_rate": 2}, {"max_repr": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            argus.monitor(**options)
    with pytest.raises(TypeError):
        argus.monitor(type("Class", (), {}))


class Shop:
    rate = 2

    @argus.monitor
    def total(self, price):
        return price * self.rate

    @argus.monitor
    @classmethod
    def class_inside(cls, price):
        return cls.rate * price

    @classmethod
    @argus.monitor
    def class_outside(cls, price):
        return cls.rate * price

    @argus.monitor
    @staticmethod
    def static_inside(price):
        return price

    @staticmethod
    @argus.monitor
    def static_outside(price):
        return price


def test_methods_bind_in_every_order_of_decorators(recorded):
    shop = Shop()
    for target in (shop, Shop):
        assert target.class_inside(3) == 6
        assert target.class_outside(3) == 6
        assert target.static_inside(3) == 3
        assert target.static_outside(3) == 3
    assert shop.total(3) == 6
    assert Shop.total(shop, 3) == 6
    bound = shop.total
    assert bound(4) == 8
    assert inspect.ismethod(bound)
    assert bound.__self__ is shop
    assert str(inspect.signature(bound)) == "(price)"
    for name, count in (("total", 3), ("class_inside", 2), ("static_outside", 2)):
        spans = recorded(f"Shop.{name}")
        assert len(spans) == count
        assert spans[0].process == f"{__name__}.Shop.{name}"
    assert recorded("Shop.total")[0].arguments == {"self": f"<Shop at {id(shop):#x}>", "price": "3"}


def test_super_and_inheritance_work():
    class Market(Shop):
        def total(self, price):
            return super().total(price) + 1

    assert Market().total(3) == 7


class Boom(Exception):
    pass


def test_an_exception_passes_with_its_identity_and_is_recorded(recorded):
    error = Boom("über")

    @argus.monitor
    def raises(x):
        raise error

    with pytest.raises(Boom) as caught:
        raises(1)
    assert caught.value is error
    assert [entry.name for entry in caught.traceback][1:] == ["raises"]
    assert error.__context__ is None
    (span,) = recorded("raises")
    assert span.status == "ERR"
    assert span.exception.startswith("Traceback (most recent call last):\n")
    assert "in raises" in span.exception
    assert span.exception.rstrip().endswith("Boom: über")
    assert span.arguments == {"x": "1"}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exits_and_interrupts_pass(kind, recorded):
    def leaves():
        raise kind(3)

    leaves.__qualname__ = f"leaves_{kind.__name__}"
    with pytest.raises(kind):
        argus.monitor(leaves)()
    assert recorded(leaves.__qualname__)[0].status == "ERR"


def test_an_exception_whose_text_fails_is_told_by_its_class(recorded):
    class Mute(Exception):
        def __str__(self):
            raise SystemExit

    @argus.monitor
    def raises_mute():
        raise Mute

    with pytest.raises(Mute):
        raises_mute()
    assert "Mute" in recorded("raises_mute")[0].exception


def test_the_cause_of_an_exception_is_told(recorded):
    @argus.monitor
    def chains():
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise Boom("outer") from error

    with pytest.raises(Boom):
        chains()
    exception = recorded("chains")[0].exception
    assert "ZeroDivisionError" in exception
    assert "direct cause" in exception


def test_locals_are_captured_when_a_call_raises(recorded):
    @argus.monitor(capture={"locals": True})
    def fails_with_locals(a):
        rows = [1, 2]
        token = "hunter2"
        raise Boom(len(token) + len(rows))

    with pytest.raises(Boom):
        fails_with_locals(1)
    (span,) = recorded("fails_with_locals")
    assert span.locals == {"a": "1", "rows": "[1, 2]", "token": "***"}


@argus.monitor
def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)


def test_recursion_nests(recorded):
    assert factorial(5) == 120
    spans = recorded("factorial")
    assert [span.arguments["n"] for span in spans] == ["5", "4", "3", "2", "1"]
    assert [span.parent for span in spans][1:] == [span.span for span in spans][:-1]


def test_recursion_gets_as_deep_as_without_the_decorator(run):
    program = """
        import sys, argus
        def plain(n): return 0 if n == 0 else 1 + plain(n - 1)
        def deepest(function):
            depth = 0
            try:
                while True: function(depth); depth += 1
            except RecursionError:
                return depth
        without = deepest(plain)
        plain = argus.monitor(plain)
        print(without, deepest(plain))
    """
    without, decorated = map(int, run(program).out.split())
    # These count every native call in between, ours like any other (`functools.lru_cache`).
    counts_native_calls = sys.version_info < (3, 11) or sys.version_info[:2] == (3, 12)
    assert decorated >= without * (0.45 if counts_native_calls else 0.9)


def test_a_recursion_without_end_is_a_recursion_error_not_a_crash(run):
    done = run("""
        import sys, threading, argus
        sys.setrecursionlimit(1_000_000)
        @argus.monitor
        def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
        def dive():
            try: print("depth", deep(60_000))
            except RecursionError: print("refused")
        dive()
        thread = threading.Thread(target=dive)
        thread.start(); thread.join()
        print(deep(100))
    """)
    assert done.out.split() == ["refused", "refused", "100"]


@argus.monitor
def outer(n):
    return inner(n)


@argus.monitor
def inner(n):
    return n


def test_threads_have_parents_of_their_own(recorded):
    with ThreadPoolExecutor(4, thread_name_prefix="pool") as pool:
        assert list(pool.map(outer, range(2_000))) == list(range(2_000))
    by_number = {span.span: span for span in recorded("outer")}
    inners = recorded("inner")
    assert len(by_number) == len(inners) == 2_000
    for span in inners:
        parent = by_number[span.parent]
        assert parent.arguments == span.arguments
        assert parent.tid == span.tid
    assert all(span.parent is None for span in by_number.values())
    assert {span.thread for span in inners} <= {f"pool_{number}" for number in range(4)} | {
        span.thread for span in inners if span.thread.startswith("pool")
    } | {inners[0].thread}


def test_spans_nest_with_functions(recorded):
    @argus.monitor
    def within_a_span():
        return None

    with argus.span("hand_opened", rows=10, password="p"):
        within_a_span()
    (span,) = recorded("hand_opened")
    assert span.arguments == {"rows": "10", "password": "***"}
    assert recorded("within_a_span")[0].parent == span.span


def test_a_span_that_raises_is_an_error_and_lets_it_pass(recorded):
    with pytest.raises(Boom), argus.span("failing_span"):
        raise Boom("in span")
    (span,) = recorded("failing_span")
    assert span.status == "ERR"
    assert "Boom: in span" in span.exception


def test_sampling_takes_whole_traces_and_keeps_errors(recorded):
    @argus.monitor(sample_rate=0.25)
    def sampled_root(n):
        return sampled_child(n)

    @argus.monitor
    def sampled_child(n):
        if n == 13:
            raise Boom
        return n

    for n in range(1_000):
        if n == 13:
            with pytest.raises(Boom):
                sampled_root(n)
        else:
            sampled_root(n)
    roots = recorded("sampled_root")
    children = recorded("sampled_child")
    assert 245 <= len(roots) <= 257
    assert {span.arguments["n"] for span in roots} == {span.arguments["n"] for span in children}
    assert [span.arguments["n"] for span in roots if span.status == "ERR"] == ["13"]
    assert [span.arguments["n"] for span in children if span.status == "ERR"] == ["13"]


def test_metrics_and_events_are_stored(store):
    argus.metric("queue_depth", 5, "1", shard="a")
    with argus.session("context generate") as session:
        session.emit("plan_constructed", nodes=12, password="p")
        argus.event("scan_started")
    assert argus.flush(30)
    (metric,) = store.query("SELECT * FROM metrics WHERE name = 'queue_depth'")
    assert (metric["value"], metric["unit"]) == (5.0, "1")
    events = store.query("SELECT * FROM obs_events WHERE session = ? ORDER BY seq", session.id)
    assert [event["type"] for event in events] == [
        "session_started",
        "plan_constructed",
        "scan_started",
        "session_ended",
    ]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert events[1]["data"] == '{"nodes": 12, "password": "***"}'


def test_an_event_with_data_that_json_cannot_tell_is_stored_and_raises_nothing(store):
    with argus.session("odd data") as session:
        session.emit(
            "odd", surrogate="\ud800", number=float("nan"), deep={1: object(), (2,): 3}, n=4
        )
    assert argus.flush(30)
    (event,) = store.query(
        "SELECT data FROM obs_events WHERE session = ? AND type = 'odd'", session.id
    )
    data = json.loads(event["data"], parse_constant=pytest.fail)
    assert (data["surrogate"], data["number"], data["n"]) == ("?", "nan", 4)
    assert data["deep"].startswith("<dict at ")


def test_ten_thousand_closures_share_one_name(recorded):
    def make():
        @argus.monitor
        def closure():
            return None

        return closure

    for _ in range(10_000):
        make()()
    assert len(recorded("closure")) == 10_000


def test_calls_from_finalizers_and_callbacks_nest_soundly(recorded):
    class Finalized:
        @argus.monitor
        def __del__(self):
            finalized.append(argus.stats()["emitted"])

    finalized = []

    @argus.monitor
    def frees():
        Finalized()
        gc.collect()

    frees()
    assert finalized
    assert recorded("Finalized.__del__")[0].parent == recorded("frees")[0].span


def test_a_thread_that_ends_leaves_its_records(recorded):
    thread = threading.Thread(target=inner, args=(77,))
    thread.start()
    thread.join()
    assert "77" in {span.arguments["n"] for span in recorded("inner")}
