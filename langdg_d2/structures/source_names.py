"""Names of the source sets: one, or several that are trained on together."""

from collections.abc import Sequence

_AND = " + "


def as_names(names: str | Sequence[str]) -> list[str]:
    """A list, also of a single name."""
    return [names] if isinstance(names, str) else list(names)


def joined_names(names: str | Sequence[str]) -> str:
    """One name for tables and headers: of several "a + b"."""
    return _AND.join(as_names(names))


def split_names(joined: str) -> list[str]:
    """The inverse of `joined_names`."""
    return joined.split(_AND)
