"""`argus run --instrument`: programs that know nothing of it, the same with it and without."""

from __future__ import annotations

import json
import py_compile
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


CORNERS = '''
"""The corners of the language."""
from __future__ import annotations

import abc
import asyncio
import copy
import dataclasses
import enum
import functools
import inspect
import pickle
import sys
import traceback
import typing

count = 0


def plain(a, b: int = 2, *rest, key=None, **more) -> str:
    """Documented."""
    return f"{a} {b} {rest} {key} {more}"


def counts():
    global count
    count += 1
    return count


def counter():
    n = 0

    def up(by=1):
        nonlocal n
        n += by
        return n

    return up


class Registry(type):
    seen: typing.ClassVar[list] = []

    def __new__(mcs, name, bases, body, **options):
        made = super().__new__(mcs, name, bases, body)
        mcs.seen.append((name, sorted(options)))
        return made

    def __call__(cls, *args):
        made = super().__call__(*args)
        made.called = True
        return made


class Base(metaclass=Registry, option=1):
    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, x):
        self.x = x

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.made = True

    def __class_getitem__(cls, item):
        return (cls.__name__, item)

    def who(self):
        return __class__.__name__

    @property
    def doubled(self):
        return self.x * 2

    @doubled.setter
    def doubled(self, value):
        self.x = value // 2

    @functools.cached_property
    def cached(self):
        return counts()

    @classmethod
    def of(cls, x):
        return cls(x)

    @staticmethod
    def still(x):
        return -x

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return name.upper()

    def __getitem__(self, index):
        return index

    def __eq__(self, other):
        return isinstance(other, Base) and self.x == other.x

    def __hash__(self):
        return hash(self.x)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return error[0] is KeyError


class Derived(Base):
    def who(self):
        return super().who() + "+" + __class__.__name__

    @functools.singledispatchmethod
    def told(self, x):
        return "any"

    @told.register
    def _(self, x: int):
        return "int"


def decorated(method):
    @functools.wraps(method)
    def inner(cls, item):
        return ["decorated", method(cls, item)]

    return inner


class Implicit:
    @decorated
    def __class_getitem__(cls, item):
        return (cls.__name__, item)

    __init_subclass__ = lambda cls: setattr(cls, "from_lambda", True)


class Below(Implicit):
    pass


@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: int = dataclasses.field(default_factory=lambda: 7)

    def __post_init__(self):
        self.total = self.x + self.y


class Colour(enum.Enum):
    RED = 1

    def hex(self):
        return "#f00"


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Named(typing.NamedTuple):
    a: int

    def twice(self):
        return self.a * 2


@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.singledispatch
def kind(x):
    return "object"


@kind.register
def _(x: int):
    return "int"


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def endless():
    return endless()


def fails(x):
    raise ValueError(x)


def chained():
    try:
        fails(1)
    except ValueError as error:
        raise KeyError("two") from error


def numbers(n):
    """Counts."""
    got = yield 0
    while n:
        n -= 1
        got = yield (n, got)
    return "done"


def delegates():
    return (yield from numbers(2))


async def adds(a, b):
    await asyncio.sleep(0)
    return a + b


async def ticks(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


async def everything():
    async with asyncio.Lock():
        found = [i async for i in ticks(3)]
    return found, await asyncio.gather(adds(1, 2), adds(3, 4))


def executed():
    namespace = {"plain": plain}
    exec("def inner(x):\\n    return plain(x)\\nresult = inner(5)", namespace)
    return namespace["result"], eval("fib(10) + deep(3)")


def frames():
    """What the stack looks like from within."""
    return [frame.f_code.co_name for frame in (sys._getframe(0), sys._getframe(1))]


def main():
    print(plain(1), plain(1, 2, 3, key=4, z=5), counts(), counts())
    up = counter()
    print(up(), up(5), counter()())
    made = Derived.of(4)
    print(made.who(), made.doubled, made.cached, made.cached, made.still(3), made.anything, made[2])
    made.doubled = 10
    print(made.x, made == Derived(5), {made: 1}[Derived(5)], made.called, Derived.made, Base[int])
    print(made.told(1), made.told("x"), Registry.seen, Implicit[int], Below.from_lambda)
    with made:
        raise KeyError
    print(Point(1), Point(1) < Point(2), Point(3).total, Colour.RED.hex(), Named(4).twice())
    try:
        Shape()
    except TypeError as error:
        print(error)
    print(fib(30), fib.cache_info(), kind(1), kind("x"), deep(200))
    for function in (fails, chained, endless):
        try:
            function(*(1,) if function is fails else ())
        except Exception as error:
            text = traceback.format_exc()
            print(text if function is not endless else (text[:200], type(error)))
    steps = numbers(2)
    print(next(steps), steps.send("a"), list(delegates()), type(steps))
    print(asyncio.run(everything()), executed(), frames())
    print(sorted(map(lambda x: -x, [1, 2, 3]), key=lambda x: (lambda y: y)(x)))
    print(inspect.signature(plain), inspect.getdoc(plain), inspect.isfunction(plain))
    print(inspect.getsource(up), inspect.getsource(numbers), inspect.getsourcelines(deep)[1])
    print(inspect.iscoroutinefunction(adds), inspect.isasyncgenfunction(ticks))
    print(inspect.isgeneratorfunction(numbers), inspect.iscoroutinefunction(plain))
    print(plain.__code__.co_firstlineno, plain.__annotations__, plain.__kwdefaults__, plain.__module__)
    for function in (plain, fib, adds, numbers, Base.who):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function
    print(sorted(globals()), sorted(vars(Base)), plain.__class__, plain.__qualname__, up.__qualname__)
    print(typing.get_type_hints(plain), __doc__, main.__doc__, [type(v).__name__ for v in vars(Base).values()])


main()
'''


def test_every_corner_of_the_language_answers_the_same(place):
    place.write(corners=CORNERS)
    done = place.same("corners", "-c", "import corners")
    assert done.code == 0, done.err
    calls = place.calls()
    assert calls["corners.plain"] == 3
    assert calls["corners.deep"] == 201 + 4
    assert calls["corners.counter.<locals>.up"] == 3
    assert calls["corners.main.<locals>.<lambda>"] == 6
    assert calls["corners.main.<locals>.<lambda>.<locals>.<lambda>"] == 3
    assert calls["corners.adds"] == 2
    assert calls["corners.ticks"] == 1
    assert calls["corners.Base.__class_getitem__"] == 1
    assert calls["corners.decorated.<locals>.inner"] == 1
    assert calls["corners.Registry.__call__"] == 3


def test_a_script_is_instrumented_when_asked_for(place):
    place.write(
        app="""
        '''A script.'''
        import sys

        def main():
            return sys.argv[1:]

        def where():
            return sys._getframe(1).f_back

        print(main(), sys.path[0], __file__, __doc__, __spec__, __name__, where(), sorted(globals()))
        sys.exit(len(sys.argv) + 3)
        """
    )
    done = place.same("__main__", "app.py", "one", "two")
    assert done.code == 6
    assert place.calls() == {"__main__.main": 1, "__main__.where": 1}


@pytest.mark.parametrize(
    ("last", "code"), [("f()", 1), ("f(", 1), ("sys.exit('bye')", 1), ("os._exit(3)", 3), ("", 0)]
)
def test_a_script_ends_as_it_would(place, last, code):
    place.write(
        app="import atexit, os, sys\ndef f():\n    1 / 0\natexit.register(print, 'end')\n" + last
    )
    assert place.same("__main__", "app.py").code == code


def test_a_script_without_the_wish_is_left_alone(place):
    place.write(
        app="import other\ndef f(): return other.g()\nprint(f())", other="def g(): return 4"
    )
    place.same("other", "app.py")
    assert place.calls() == {"other.g": 1}


def test_packages_run_as_programs(place):
    place.write(
        pkg__in____init__="def top(): return 1",
        pkg__in____main__="""
        import sys
        from pkg import top
        from pkg.sub.deep import below
        def main():
            print(sys.argv, __name__, __spec__.name, top(), below(), type(__loader__).__name__)
        main()
        """,
        pkg__in__sub__in____init__="",
        pkg__in__sub__in__deep="def below(): return 2",
    )
    place.same("pkg.*", "-m", "pkg", "x")
    assert place.calls() == {"__main__.main": 1, "pkg.top": 1, "pkg.sub.deep.below": 1}


def test_a_module_run_as_a_program_is_the_program(place):
    place.write(tool="def f(): return 1\nprint(f(), __name__)")
    place.same("__main__", "-m", "tool")
    assert place.calls() == {"__main__.f": 1}


def test_spawned_children_are_instrumented_as_well(place):
    place.write(
        app="""
        import multiprocessing
        import work

        def here(x):
            return work.square(x) + 1

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            with context.Pool(2) as pool:
                print(pool.map(here, range(10)))
        """,
        work="def square(x): return x * x",
    )
    place.same("__main__ work", "app.py")
    calls = place.calls()
    assert calls["work.square"] == 10
    assert calls["__mp_main__.here"] == 10
    parents = place.store.query(
        "SELECT DISTINCT pid FROM process_trace WHERE process = 'work.square'"
    )
    assert 1 <= len(parents) <= 2


def test_nothing_instrumented_is_left_behind(place):
    place.write(mod="def f(): return 1", app="import mod; print(mod.f())")
    place.instrumented("mod", "app.py")
    assert not list(place.path.rglob("*.pyc"))
    place.plain("app.py")
    (compiled,) = place.path.rglob("mod*.pyc")
    before = compiled.read_bytes()
    assert place.instrumented("mod", "app.py").out == "1\n"
    assert compiled.read_bytes() == before
    assert place.calls() == {"mod.f": 2}


def test_names_are_left_out_by_a_part_of_them(place):
    place.write(
        pkg__in____init__="from pkg import tests, work",
        pkg__in__tests="def run(): return 1",
        pkg__in__work="def _helper(): return 2\ndef run(): return _helper() + (lambda: 1)()",
        app="import pkg; print(pkg.tests.run(), pkg.work.run())",
    )
    options = ["--instrument-exclude", "tests", "--instrument-exclude", "_helper"]
    done = place.run(
        place.argus, "run", "--db", str(place.store.path), "--instrument", "pkg.*", *options,
        "--", sys.executable, "app.py",
    )  # fmt: skip
    assert (done.code, done.out, done.err) == (0, "1 3\n", "")
    assert place.calls() == {"pkg.work.run": 1, "pkg.work.run.<locals>.<lambda>": 1}


def test_what_has_no_source_is_recorded_from_outside_and_listed(place):
    place.write(
        compiled="""
        def f():
            return (lambda: g())()
        def g():
            return 2
        """,
        app="import compiled, _heapq; print(compiled.f(), _heapq.heapify([2, 1]), compiled.__loader__.path)",
    )
    source = place.path / "compiled.py"
    py_compile.compile(str(source), cfile=str(place.path / "compiled.pyc"))
    source.unlink()
    place.same("compiled _heapq", "app.py")
    assert place.calls() == {"compiled.f": 1, "compiled.g": 1, "_heapq.heapify": 1}
    told = place.run(
        place.argus, "doctor", "--db", str(place.store.path), "--instrumented", "--json"
    )
    names = {entry["name"]: entry["reason"] for entry in json.loads(told.out)}
    assert "no source" in names["compiled"]
    assert "no source" in names["_heapq"]


def test_packages_without_a_file_and_modules_that_are_missing_are_found_as_ever(place):
    place.write(
        space__in__inner="def f(): return 1",
        app="""
        from space import inner
        try:
            import space.nothing
        except ImportError as error:
            print(error, type(error))
        print(inner.f())
        """,
    )
    place.same("space.*", "app.py")
    assert place.calls() == {"space.inner.f": 1}
    told = place.run(
        place.argus, "doctor", "--db", str(place.store.path), "--instrumented", "--json"
    )
    assert json.loads(told.out) == []


def test_a_module_that_does_not_compile_is_told_as_ever(place):
    place.write(broken="def f(:\n  pass\n", app="import broken")
    plain, instrumented = place.plain("app.py"), place.instrumented("broken", "app.py")
    assert instrumented.err.splitlines()[-4:] == plain.err.splitlines()[-4:]
    assert instrumented.code == plain.code == 1


def test_warnings_of_the_compiler_are_not_told_twice(place):
    place.write(mod="def f():\n    return '\\d' is 3\n", app="import mod; mod.f()")
    assert "SyntaxWarning" not in place.instrumented("mod", "app.py").err


def test_an_explicit_decorator_is_the_only_one(place):
    place.write(
        mod="""
        import argus
        @argus.monitor("own")
        def f(): return 1
        @argus.monitor("own")
        def g():
            yield 1
        """,
        app="import mod; print(mod.f(), list(mod.g()))",
    )
    place.same("mod", "app.py")
    assert place.calls() == {"mod.f": 1, "mod.g": 1}


def test_a_program_that_nobody_instruments_is_told(place):
    place.write(app="print(1)")
    done = place.instrumented("nowhere.*", "app.py")
    assert (done.code, done.out) == (0, "1\n")
    assert "nothing was instrumented" in done.err
    assert "nowhere.*" in done.err


def test_no_recording_means_no_instruments(place):
    place.write(mod="def f(): return 1", app="import mod, sys; print(mod.f(), len(sys.meta_path))")
    done = place.instrumented("mod", "app.py", ARGUS_DISABLE="1")
    assert done.out == place.plain("app.py").out
