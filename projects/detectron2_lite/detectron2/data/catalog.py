"""The two process-wide catalogs: how a data set is loaded, and what is known about it."""

from __future__ import annotations

import types
from collections import UserDict
from collections.abc import Callable
from typing import Any

Records = list[dict[str, Any]]
Names = list[str]


class _Catalog(UserDict):
    """A dictionary keyed by data set names."""

    def list(self) -> Names:
        """Names in the order of registration."""
        return [*self]

    def remove(self, name: str) -> None:
        """Forget `name`; raises KeyError if it is unknown."""
        del self[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__.strip('_')}({', '.join(self)})"

    __str__ = __repr__


class _DatasetCatalog(_Catalog):
    """Name → function without arguments that returns the records of the data set."""

    def register(self, name: str, func: Callable[[], Records]) -> None:
        """Add a loader; it is not called yet and has to return the same records every time.

        Raises:
            AssertionError: `func` cannot be called, or the name is taken.
        """
        assert callable(func), f"loader of dataset {name!r} must be callable, got {func!r}"
        assert name not in self, f"dataset {name!r} is registered twice; remove() it first"
        self[name] = func

    def get(self, name: str) -> Records:  # type: ignore[override]
        """Call the loader of `name`; raises KeyError, with the known names, if there is none."""
        if name not in self:
            raise KeyError(f"dataset {name!r} is unknown, expected one of: {', '.join(self)}")
        return self[name]()


class Metadata(types.SimpleNamespace):
    """Constants of one data set as attributes, each of which can be set once.

    Setting an attribute again is allowed only to an equal value.
    """

    name: str = "N/A"

    def __getattr__(self, key: str) -> Any:
        raise AttributeError(
            f"metadata of dataset {self.name!r} has no {key!r}, only {sorted(vars(self))}"
        )

    def __setattr__(self, key: str, val: Any) -> None:
        known = self.get(key, _UNSET)
        assert known is _UNSET or known == val, (
            f"{key!r} of dataset {self.name!r} is already {known!r} and must not become {val!r}"
        )
        super().__setattr__(key, val)

    def as_dict(self) -> dict[str, Any]:
        """A shallow copy of all attributes, the name among them."""
        return dict(vars(self))

    def set(self, **kwargs: Any) -> Metadata:
        """Set several attributes; returns the object itself."""
        for key, val in kwargs.items():
            setattr(self, key, val)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """The attribute `key`, or `default` where it was never set."""
        return getattr(self, key, default)


_UNSET = object()


class _MetadataCatalog(_Catalog):
    """Name → `Metadata`, made empty at the first request and the same object ever after."""

    def get(self, name: str) -> Metadata:  # type: ignore[override]
        assert name, "metadata needs the name of a dataset, got an empty string"
        return self.setdefault(name, Metadata(name=name))


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()
