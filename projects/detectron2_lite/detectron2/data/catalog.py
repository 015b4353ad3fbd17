"""The two catalogs of data sets: how they are loaded, and what is known about them."""

from __future__ import annotations

import types
from collections import UserDict
from collections.abc import Callable
from typing import Any


class _Catalog(UserDict):
    """Entries by the names of data sets."""

    def list(self) -> list[str]:
        """All names, in the order of registration."""
        return [*self]

    def remove(self, name: str) -> None:
        """Forget a name."""
        del self[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


class _DatasetCatalog(_Catalog):
    def register(self, name: str, func: Callable[[], Any]) -> None:
        """Add a function that returns the records of a data set; it is not called yet."""
        assert callable(func), f"loader of dataset {name!r} must be callable, got {func!r}"
        assert name not in self, f"dataset {name!r} is registered twice; remove() it first"
        self[name] = func

    def get(self, name: str) -> Any:  # type: ignore[override]
        """The records of a data set, loaded anew."""
        if name not in self:
            raise KeyError(f"dataset {name!r} is unknown, expected one of: {', '.join(self)}")
        return self[name]()


class Metadata(types.SimpleNamespace):
    """Attributes of a data set, which can be set again only to an equal value."""

    name: str = "N/A"

    def __getattr__(self, key: str) -> Any:
        raise AttributeError(f"dataset {self.name!r} has no {key!r}, only {sorted(vars(self))}")

    def __setattr__(self, key: str, val: Any) -> None:
        known = vars(self).get(key, val)
        assert known == val, f"{key!r} of dataset {self.name!r} is {known!r} and stays so"
        super().__setattr__(key, val)

    def as_dict(self) -> dict[str, Any]:
        """A copy of all attributes, the name among them."""
        return dict(vars(self))

    def set(self, **kwargs: Any) -> Metadata:
        """Set attributes; returns the object itself."""
        for key, val in kwargs.items():
            setattr(self, key, val)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute, or `default` where it was never set."""
        return getattr(self, key, default)


class _MetadataCatalog(_Catalog):
    def get(self, name: str) -> Metadata:  # type: ignore[override]
        """The metadata of a data set, made empty at the first request."""
        assert name, "metadata needs the name of a dataset, got an empty string"
        return self.setdefault(name, Metadata(name=name))


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()
