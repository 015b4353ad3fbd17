"""A config as Python-like text."""

from collections.abc import Mapping
from typing import Any

from detectron2.utils.registry import _convert_target_to_string


def to_python_text(content: Any, prefix: str) -> str:
    """Assignments, one a line and sorted, for the values of nested dicts; calls as calls."""
    if _is_call(content) or not isinstance(content, Mapping):
        return prefix + _expression(content)
    return "\n".join(_assignments(content, prefix))


def _is_call(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _assignments(content: Mapping[str, Any], prefix: str) -> list[str]:
    lines = []
    for key, value in sorted(content.items()):
        if isinstance(value, Mapping) and not _is_call(value):
            lines += _assignments(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key}={_expression(value)}")
    return lines


def _expression(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(_expression(item) for item in value) + "]"
    if not isinstance(value, Mapping):
        return repr(value)
    if not _is_call(value):
        return "{" + ",".join(f"{k!r}: {_expression(v)}" for k, v in sorted(value.items())) + "}"
    target = value["_target_"]
    path = target if isinstance(target, str) else _convert_target_to_string(target)
    arguments = sorted((key, item) for key, item in value.items() if key != "_target_")
    return f"{path}({', '.join(f'{key}={_expression(item)}' for key, item in arguments)})"
