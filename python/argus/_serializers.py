"""The serializers that need Python: ``repr`` and ``json``.

They run the program's own code (its ``__repr__``), which the smart one never does. What stands under a
sensitive key is replaced before anything looks at it, at any depth.
"""

from __future__ import annotations

from typing import Any, Callable

SENSITIVE = ("password", "api_key", "token")
_MASK = "***"
_DEPTH = 8
_ITEMS = 1_000


class _Masked:
    """Looks like the mask in ``repr`` and in JSON."""

    def __repr__(self) -> str:
        return _MASK


_MASKED = _Masked()


def choose(
    serializer: str | Callable[[Any], str], sensitive: tuple[str, ...]
) -> Callable[[Any], str] | None:
    """The function for a ``serializer`` option; ``None`` for the smart one, which is native."""
    if callable(serializer):
        return serializer
    words = tuple(word.lower() for word in sensitive if word)
    if serializer == "smart":
        return None
    if serializer == "repr":
        return lambda value: repr(_without_secrets(value, words, _DEPTH))
    if serializer == "json":
        return lambda value: _json(_without_secrets(value, words, _DEPTH), allow_nan=True)
    raise ValueError(f"serializer is smart, repr, json, or a function, not {serializer!r}")


def as_json(data: dict[str, Any], sensitive: tuple[str, ...] = SENSITIVE) -> str:
    """A JSON object of these fields, masked; a field that JSON cannot tell is told by its class."""
    words = tuple(word.lower() for word in sensitive if word)
    told = _without_secrets(data, words, _DEPTH)
    try:
        text = _json(told, allow_nan=False)
    except Exception:
        # A key that JSON cannot have, a number that it cannot: the other fields count, too.
        jsonable = {
            key if type(key) is str else _class_name(key): _if_json(value)
            for key, value in told.items()
        }
        text = _json(jsonable, allow_nan=False)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _json(value: Any, allow_nan: bool) -> str:
    encoder = _ENCODERS.get(allow_nan)
    if encoder is None:
        # Imported when it is needed: it is a fifth of what importing all of this package costs.
        import json

        encoder = json.JSONEncoder(default=_class_name, ensure_ascii=False, allow_nan=allow_nan)
        _ENCODERS[allow_nan] = encoder
    return str(encoder.encode(value))


# By whether they write what JSON has no numbers for.
_ENCODERS: dict[bool, Any] = {}


def _if_json(value: Any) -> Any:
    try:
        _json(value, allow_nan=False)
    except Exception:
        return repr(value) if type(value) is float else _class_name(value)
    return value


def _is_sensitive(key: object, words: tuple[str, ...]) -> bool:
    if not isinstance(key, str):
        return False
    key = key.lower()
    return key.endswith(words) and any(key == word or key.endswith("_" + word) for word in words)


def _without_secrets(value: Any, words: tuple[str, ...], depth: int) -> Any:
    """A copy of the built-in containers in ``value``, masked and bounded; a cycle ends at the depth."""
    kind = type(value)
    if kind not in (dict, list, tuple):
        return value
    if depth == 0:
        return _Ellipsis()
    if kind is dict:
        items = list(value.items())[:_ITEMS]
        return {
            key: _MASKED if _is_sensitive(key, words) else _without_secrets(item, words, depth - 1)
            for key, item in items
        }
    return kind(_without_secrets(item, words, depth - 1) for item in value[:_ITEMS])


class _Ellipsis:
    """What is too deep to be shown."""

    def __repr__(self) -> str:
        return "..."


def _class_name(value: Any) -> str:
    if isinstance(value, (_Masked, _Ellipsis)):
        return repr(value)
    return f"<{type(value).__name__} at {id(value):#x}>"
