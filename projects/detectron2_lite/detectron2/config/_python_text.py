"""A config as Python-like text."""

from collections.abc import Iterator, Mapping
from typing import Any

from detectron2.utils.registry import _convert_target_to_string


def to_python_text(content: Any, prefix: str) -> str:
    """Nested dicts as assignments, one a line and sorted; descriptions of calls as calls."""
    if _is_namespace(content):
        return "\n".join(_assignments(content, prefix))
    return prefix + _expression(content)


def _is_namespace(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" not in value


def _assignments(content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in sorted(content.items()):
        if _is_namespace(value):
            yield from _assignments(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={_expression(value)}"


def _expression(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(_expression, value)) + "]"
    if not isinstance(value, Mapping):
        return repr(value)
    entries = {key: _expression(item) for key, item in sorted(value.items()) if key != "_target_"}
    if "_target_" not in value:
        return "{" + ",".join(f"{key!r}: {text}" for key, text in entries.items()) + "}"
    target = value["_target_"]
    path = target if isinstance(target, str) else _convert_target_to_string(target)
    return f"{path}({', '.join(f'{key}={text}' for key, text in entries.items())})"
