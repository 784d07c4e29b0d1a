"""`argus.auto_instrument_module`: what a module defines, recorded as it is."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import sys
import textwrap
import types

import pytest

import argus
from argus import _auto

SOURCE = '''
"""A module of a program."""
import abc
import dataclasses
import functools
from os.path import join

ready = False

def process_order(order, *, token=None):
    """Handles an order."""
    return order * 2

def fails(x):
    raise ValueError(x)

def _helper(x):
    return x

def test_order():
    return 1

def calls(n):
    return 0 if n == 0 else 1 + calls(n - 1)

@functools.lru_cache(maxsize=None)
def cached(n):
    return n + 1

async def fetch(x):
    return x + 1

def numbers(n):
    yield from range(n)

class Book(abc.ABC):
    def __init__(self, price):
        self.price = price

    def value(self):
        return self.price

    @classmethod
    def of(cls, price):
        return cls(price)

    @staticmethod
    def zero():
        return 0

    @property
    def doubled(self):
        return self.price * 2

    @abc.abstractmethod
    def name(self): ...

    def each(self):
        yield self.price

    class Page:
        def turn(self):
            return "turned"

class Novel(Book):
    def value(self):
        return super().value() + 1

    def name(self):
        return "novel"

@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

alias = process_order
'''


@pytest.fixture
def module(request):
    """A fresh module, with a name that no other test has."""
    name = f"auto_{request.node.name}".replace("[", "_").replace("]", "")
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(compile(SOURCE, f"/nowhere/{name}.py", "exec"), made.__dict__)
    yield made
    del sys.modules[name]


def names(wrapped):
    return {name.split(".", 1)[1] for name in wrapped}


def test_functions_and_methods_are_wrapped_and_properties_are_not(module):
    wrapped = argus.auto_instrument_module(module)
    assert names(wrapped) >= {
        *("process_order", "fails", "_helper", "test_order", "calls", "cached", "fetch", "numbers"),
        *("Book.__init__", "Book.value", "Book.of", "Book.zero", "Book.name", "Book.each"),
        *("Book.Page.turn", "Novel.value", "Novel.name", "Point.__init__"),
    }
    assert not names(wrapped) & {"join", "Book.doubled", "ready"}
    assert all(name.startswith(module.__name__ + ".") for name in wrapped)


def test_a_second_time_there_is_nothing_to_do(module):
    assert argus.auto_instrument_module(module)
    before = dict(vars(module))
    assert argus.auto_instrument_module(module) == []
    assert dict(vars(module)) == before


def test_names_are_chosen_as_the_specification_says(module):
    wrapped = argus.auto_instrument_module(
        module=module,
        include_regex=r"^(process_|calculate_|fetch|test_|turn)",
        exclude=("test_", "_helper"),
        process_group="trading.actant_pnl",
    )
    assert names(wrapped) == {"process_order", "fetch", "Book.Page.turn"}


def test_calls_are_recorded_with_group_arguments_and_masks(module, recorded):
    argus.auto_instrument_module(module, process_group="shop", sensitive_fields=("token",))
    assert module.process_order(4, token="secret") == 8
    (span,) = recorded(f"{module.__name__}.process_order")
    assert span.arguments == {"order": "4", "token": "***"}
    assert (span.result, span.process_group, span.status) == ("8", "shop", "OK")


def test_a_function_that_was_imported_before_is_the_same_object(module, recorded):
    imported = module.process_order
    argus.auto_instrument_module(module)
    assert imported is module.process_order is module.alias
    imported(1)
    assert len(recorded(f"{module.__name__}.process_order")) == 1


def test_recursion_and_super_are_recorded(module, recorded):
    argus.auto_instrument_module(module)
    assert module.calls(20) == 20
    assert module.Novel.of(3).value() == 4
    assert len(recorded(f"{module.__name__}.calls")) == 21
    (outer,) = recorded(f"{module.__name__}.Novel.value")
    (inner,) = recorded(f"{module.__name__}.Book.value")
    assert inner.parent == outer.span


def test_an_exception_keeps_its_identity_and_its_traceback(module, recorded):
    def lines():
        with pytest.raises(ValueError, match="7") as caught:
            module.fails(7)
        entries = inspect.getinnerframes(caught.value.__traceback__)
        return [(entry.function, entry.lineno, entry.filename) for entry in entries]

    before = lines()
    argus.auto_instrument_module(module)
    assert lines() == before
    (span,) = recorded(f"{module.__name__}.fails")
    assert span.status == "ERR"
    assert "ValueError: 7" in span.exception


def test_inspect_pickle_and_copies_answer_as_before(module):
    function, method = module.process_order, module.Book.value
    before = (inspect.signature(function), repr(function), function.__doc__, function.__code__)
    argus.auto_instrument_module(module)
    after = (inspect.signature(function), repr(function), function.__doc__, function.__code__)
    assert after == before
    assert inspect.isfunction(function)
    assert function.__class__ is types.FunctionType
    assert isinstance(function, types.FunctionType)
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is copy.copy(function) is function
    assert module.Book.value is method
    assert inspect.iscoroutinefunction(module.fetch)
    assert inspect.isgeneratorfunction(module.numbers)
    assert module.Book.__abstractmethods__ == {"name"}


def test_an_instrumented_function_has_the_exact_type_where_the_interpreter_lets_it(module):
    argus.auto_instrument_module(module)
    exact = type(module.process_order)
    # Python 3.11 calls functions of the exact type without a look at how they want to be called.
    has_heir = sys.version_info[:2] == (3, 11)
    assert exact.__mro__[int(has_heir)] is types.FunctionType
    assert exact.__name__ == "function"


def test_steps_and_caches_work_on(module, recorded):
    argus.auto_instrument_module(module)
    assert asyncio.run(module.fetch(1)) == 2
    assert list(module.numbers(3)) == [0, 1, 2]
    assert list(module.Novel(5).each()) == [5]
    assert [module.cached(1), module.cached(1), module.cached.cache_info().hits] == [2, 2, 1]
    assert len(recorded(f"{module.__name__}.fetch")) == 1
    assert len(recorded(f"{module.__name__}.numbers")) == 1
    assert len(recorded(f"{module.__name__}.cached")) == 1


def test_a_decorated_function_is_recorded_once_and_by_its_own_options(module, recorded):
    argus.auto_instrument_module(module, process_group="auto")
    module.process_order = argus.monitor("own")(module.process_order)
    module.numbers = argus.monitor("own")(module.numbers)
    assert argus.auto_instrument_module(module) == []
    module.process_order(2)
    list(module.numbers(2))
    for name in ("process_order", "numbers"):
        (span,) = recorded(f"{module.__name__}.{name}")
        assert span.process_group == "own"


def test_a_function_that_gets_another_code_is_called_with_it(module):
    argus.auto_instrument_module(module)
    module.process_order.__code__ = (lambda order, *, token=None: "other").__code__
    assert module.process_order(1) == "other"


def test_what_cannot_be_wrapped_is_remembered_with_the_reason():
    made = types.ModuleType("auto_stubborn")
    exec(
        textwrap.dedent("""
        class Refuses(type):
            def __setattr__(cls, name, value):
                raise TypeError("it never changes")

        class Stubborn(metaclass=Refuses):
            def numbers(self):
                yield 1

            def plain(self):
                return 2
        """),
        made.__dict__,
    )
    wrapped = argus.auto_instrument_module(made)
    assert "auto_stubborn.Stubborn.plain" in wrapped
    assert "auto_stubborn.Stubborn.numbers" not in wrapped
    assert _auto._unwrapped["auto_stubborn.Stubborn.numbers"] == "it never changes"


def test_wrong_use_is_told(module):
    with pytest.raises(TypeError, match="module"):
        argus.auto_instrument_module("json")
    with pytest.raises(TypeError, match="no_such_option"):
        argus.auto_instrument_module(module, no_such_option=1)
    with pytest.raises(ValueError, match="sample_rate"):
        argus.auto_instrument_module(module, sample_rate=2)


def test_nothing_happens_when_recording_is_off(run):
    program = """
        import types, argus
        module = types.ModuleType("m")
        exec("def f(): return 1", module.__dict__)
        print(argus.auto_instrument_module(module), module.f())
    """
    assert run(program, ARGUS_DISABLE="1").out == "[] 1\n"
