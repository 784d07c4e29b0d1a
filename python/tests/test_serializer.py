"""What the smart serializer makes of values, as it stands in `data_trace`."""

from __future__ import annotations

import enum
import uuid
from collections import Counter, OrderedDict, namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import argus


def show(recorded, value, **options):
    """The text recorded of one value, as an argument and as a result alike."""
    name = f"show_{uuid.uuid4().hex}"

    def function(value):
        return value

    function.__qualname__ = name
    assert argus.monitor(**options)(function)(value) is value
    (span,) = recorded(name)
    assert span.arguments["value"] == span.result
    return span.result


class Portfolio:
    def __repr__(self):
        raise AssertionError("the smart serializer must not call this")

    __str__ = __len__ = __iter__ = __eq__ = __hash__ = __getattr__ = __repr__


def test_primitives_read_as_their_repr(recorded):
    for value in (42, -1, 0, 2**63 - 1, -(2**63), 1.5, 1e300, -0.0, True, False, None, "hello", ""):
        assert show(recorded, value) == repr(value)


def test_integers_on_both_sides_of_every_form_are_kept(recorded):
    for power in (6, 7, 8, 15, 30, 31, 32, 60, 63):
        for value in (2**power - 1, 2**power, -(2**power), -(2**power) - 1):
            assert show(recorded, value) == str(value)


def test_arguments_that_outgrow_the_short_form_are_kept(recorded):
    names = [f"value_{index}" for index in range(200)]
    parameters = ", ".join(names)
    scope = {}
    exec(f"def function({parameters}): return None", scope)
    function = scope["function"]
    for values in ([7] * 200, [10**6] * 200, ["x" * length for length in range(200)]):
        name = function.__qualname__ = f"many_{uuid.uuid4().hex}"
        argus.monitor(function)(*values)
        argus.monitor(function)(**dict(zip(names, values)))
        for span in recorded(name):
            assert span.arguments == {key: repr(value) for key, value in zip(names, values)}


def test_nan_and_infinities_have_their_names(recorded):
    assert show(recorded, float("nan")) == "nan"
    assert show(recorded, float("-inf")) == "-inf"


def test_big_integers_keep_all_their_digits(recorded):
    assert show(recorded, 2**64) == str(2**64)
    assert show(recorded, -(10**300)) == str(-(10**300))


def test_an_integer_too_big_to_print_is_summarised(recorded):
    assert show(recorded, 1 << 2_000_000) == "<int beyond 1e308>"


def test_wide_text_is_kept(recorded):
    for text in ("é", "日本語", "🦀 and 日", "a\x00b"):
        assert show(recorded, text) == repr(text)


def test_a_lone_surrogate_is_replaced(recorded):
    assert show(recorded, "a\udc80b") == "'a\ufffdb'"


def test_long_text_is_cut_at_max_repr(recorded):
    assert show(recorded, "x" * 5_000, max_repr=10) == "'xxxxxxxxxx...'"
    assert show(recorded, "é" * 5_000, max_repr=10) == "'éééééééééé...'"
    assert show(recorded, "x" * 10, max_repr=10) == "'xxxxxxxxxx'"


def test_bytes_read_as_their_repr_and_are_cut(recorded):
    for value in (b"a'\x00\xff", b'"""\n', b"both ' and \"", b"\\\t"):
        assert show(recorded, value) == repr(value)
    assert len(show(recorded, b"x" * 1_000_000, max_repr=50)) == 53


def test_short_lists_and_tuples_show_their_elements(recorded):
    for value in ([], [1, 2, 3], (), (1,), (1, "a", None), [[1], (2,)]):
        assert show(recorded, value) == repr(value)


def test_long_sequences_show_three_elements_and_their_length(recorded):
    assert show(recorded, list(range(1_000_000))) == "[0, 1, 2, +999997 more]"
    assert show(recorded, tuple(range(5))) == "(0, 1, 2, +2 more)"


def test_dicts_show_two_keys_and_no_values(recorded):
    ten = {chr(97 + index): Portfolio() for index in range(10)}
    assert show(recorded, ten) == "{'a': ..., 'b': ..., +8 more}"
    assert show(recorded, {}) == "{}"
    assert show(recorded, OrderedDict(a=1)) == "{'a': ...}"
    assert show(recorded, Counter("aab")) == "{'a': ..., 'b': ...}"


def test_sets_show_elements(recorded):
    assert show(recorded, {7}) == "{7}"
    assert show(recorded, set()) == "set()"
    assert show(recorded, frozenset({7})) == "frozenset({7})"
    assert show(recorded, set(range(10))).endswith(", +7 more}")


def test_objects_show_class_and_address_and_run_no_code(recorded):
    portfolio = Portfolio()
    assert show(recorded, portfolio) == f"<Portfolio at {id(portfolio):#x}>"
    assert show(recorded, [portfolio]) == f"[<Portfolio at {id(portfolio):#x}>]"


def test_functions_classes_and_modules_are_objects(recorded):
    assert show(recorded, pytest).startswith("<module at 0x")
    assert show(recorded, Portfolio).startswith("<type at 0x")
    assert show(recorded, len).startswith("<builtin_function_or_method at 0x")


def test_heirs_of_built_in_types_show_their_content(recorded):
    Point = namedtuple("Point", "x y")
    Colour = enum.IntEnum("Colour", "RED")

    class Text(str):
        __slots__ = ()
        __len__ = __str__ = __repr__ = __getitem__ = Portfolio.__repr__

    assert show(recorded, Point(1, 2)) == "(1, 2)"
    assert show(recorded, Colour.RED) == "1"
    assert show(recorded, Text("t")) == "'t'"


def test_a_cycle_ends(recorded):
    cycle = []
    cycle.append(cycle)
    assert show(recorded, cycle) == "[[[[+1 more]]]]"


def test_a_deep_nest_ends(recorded):
    nest = []
    for _ in range(100_000):
        nest = [nest]
    assert show(recorded, nest) == "[[[[+1 more]]]]"
    while nest:
        nest = nest.pop()


def test_many_long_elements_stay_within_max_repr(recorded):
    assert len(show(recorded, ["x" * 1_000] * 3, max_repr=100)) < 130


def test_an_array_shows_type_and_shape(recorded):
    numpy = pytest.importorskip("numpy")
    assert show(recorded, numpy.zeros((100, 100))) == "[ndarray float64 (100,100)]"
    assert show(recorded, numpy.zeros(3, dtype="int8")) == "[ndarray int8 (3,)]"
    assert show(recorded, numpy.float64(1.5)) == "1.5"


def test_a_data_frame_shows_its_shape(recorded):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({f"c{index}": range(1_000) for index in range(50)})
    assert show(recorded, frame) == "[DataFrame 1000×50]"
    assert show(recorded, frame["c0"]) == "[Series 1000]"


def test_a_class_that_only_looks_like_a_frame_is_an_object(recorded):
    class DataFrame:
        shape = property(Portfolio.__repr__)

    assert show(recorded, DataFrame()).startswith("<DataFrame at 0x")


def test_sensitive_parameters_are_masked(recorded):
    @argus.monitor
    def masks_parameters(user, password, *, API_KEY=None, db_token="", tokens=0, **rest):
        return user

    masks_parameters(
        "u", "hunter2", API_KEY="hunter2", db_token="hunter2", tokens=3, token="hunter2"
    )
    (span,) = recorded("masks_parameters")
    assert span.arguments == {
        "user": "'u'",
        "password": "***",
        "API_KEY": "***",
        "db_token": "***",
        "tokens": "3",
        "token": "***",
    }


def test_own_sensitive_fields_replace_the_default(recorded):
    @argus.monitor(sensitive_fields=("iban",))
    def masks_own(iban, token):
        return None

    masks_own("DE", "t")
    assert recorded("masks_own")[0].arguments == {"iban": "***", "token": "'t'"}


@pytest.mark.parametrize("serializer", ["smart", "repr", "json"])
def test_secrets_in_nested_mappings_never_show(recorded, serializer):
    value = {"a": [{"b": ({"password": "hunter2", "db_token": {"x": "hunter2"}},)}]}
    assert "hunter2" not in show(recorded, value, serializer=serializer)
    assert "hunter2" not in show(recorded, [value], serializer=serializer)


def test_repr_and_json_show_all_but_secrets(recorded):
    value = {"rows": [1, 2.5, None], "token": "t"}
    assert show(recorded, value, serializer="repr") == "{'rows': [1, 2.5, None], 'token': ***}"
    assert show(recorded, value, serializer="json") == '{"rows": [1, 2.5, null], "token": "***"}'


def test_a_cycle_ends_in_repr_and_json(recorded):
    cycle = {}
    cycle["again"] = cycle
    assert "..." in show(recorded, cycle, serializer="repr")
    assert "..." in show(recorded, cycle, serializer="json")


def test_a_serializer_of_ones_own_is_used_and_cut(recorded):
    assert show(recorded, 3, serializer=lambda value: f"<<{value}>>") == "<<3>>"
    assert show(recorded, 3, serializer=lambda value: "x" * 99, max_repr=5) == "xxxxx..."


@pytest.mark.parametrize("failure", [ValueError, SystemExit, GeneratorExit, RecursionError])
def test_a_serializer_that_fails_never_reaches_the_program(recorded, failure):
    def serializer(value):
        raise failure("not the program's business")

    assert show(recorded, "fine", serializer=serializer) == "'fine'"


def test_a_serializer_that_is_monitored_itself_is_not_recorded(recorded):
    @argus.monitor
    def monitored_serializer(value):
        return str(value)

    assert show(recorded, 3, serializer=monitored_serializer) == "3"
    assert recorded("monitored_serializer") == []


def test_an_unknown_serializer_is_refused():
    with pytest.raises(ValueError, match="serializer"):
        argus.monitor(serializer="pickle")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@argus.monitor(max_repr=100)
def takes_anything(value):
    return value


@settings(max_examples=300, deadline=None)
@given(values)
def test_any_value_passes_through_unchanged(value):
    before = argus.stats()
    assert takes_anything(value) is value
    after = argus.stats()
    assert after["emitted"] == before["emitted"] + 2
    assert after["dropped"] == before["dropped"]


def test_all_of_them_were_stored_and_bounded(recorded):
    takes_anything(1)
    spans = recorded("takes_anything")
    assert spans
    assert max(len(span.result) for span in spans) < 700  # escapes lengthen, at most by "\\x00"
