"""What a style bank was mined with: the header of its file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import langdg_d2

from ..data.seeded_batches import same_images
from ..structures.source_names import joined_names
from ..utils.errors import LangDGError

IGNORE = "ignore"  # the name of unlabelled patches, beside those of the classes

_LABELS = 1 << 8  # class ids are 8-bit, as label maps are
_TYPES: dict[str, type | tuple[type, ...]] = {
    "clip_name": str,
    "clip_fingerprint": str,
    "layer": str,
    "channels": int,
    "ignore_label": int,
    "source": str,
    "seed": (int, type(None)),
    "settings": Mapping,
    "created_by": str,
    "whole_clip_fingerprint": (str, type(None)),
}
# What banks need in common to be merged; the rest says where styles come from.
_COMMON = (
    "clip_name",
    "clip_fingerprint",
    "layer",
    "channels",
    "grid",
    "class_names",
    "ignore_label",
)
_ORIGIN = ("source", "seed", "settings", "created_by")
_MERGED = "merged"
_IMAGES = "settings.images"  # a fingerprint
_SHOWN = 3  # items of a long list in a message


class StyleBankError(LangDGError):
    """A style bank is damaged or does not fit; the message says where and what to do."""


def _this_version() -> str:
    return f"langdg_d2 {langdg_d2.__version__}"


@dataclass(frozen=True, kw_only=True)
class BankHeader:
    """What the styles of a bank belong to, and where they come from.

    Attributes:
        clip_name: architecture, as open_clip calls it.
        clip_fingerprint: `clip_fingerprint` of the weights.
        layer: the layer of CLIP's image tower whose output is restyled, "layer1" in the paper.
        channels: of that output.
        grid: rows and columns of the patches an image was cut into.
        class_names: class id k is the k-th.
        ignore_label: class id of unlabelled patches, which no class has; in 0..255.
        source: set whose images were mined; several, and those of a merged bank, as "a + b".
        seed: of the mining; None if unknown, or if a merged bank has several.
        settings: how the styles were mined, for people; whatever JSON can hold.
        created_by: program and version.
        whole_clip_fingerprint: of all weights that make CLIP's embeddings, text tower included;
            None where unknown, as in banks of earlier versions.

    Raises:
        StyleBankError: if a value is not what is described here.
    """

    clip_name: str
    clip_fingerprint: str
    layer: str
    channels: int
    grid: tuple[int, int]
    class_names: tuple[str, ...]
    ignore_label: int
    source: str
    seed: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = field(default_factory=_this_version)
    whole_clip_fingerprint: str | None = None

    def __post_init__(self) -> None:
        for name, kind in _TYPES.items():
            _require(isinstance(getattr(self, name), kind), name, getattr(self, name), kind)
        # As a file gives them back: a bank equals itself after saving and loading.
        object.__setattr__(self, "grid", tuple(self.grid))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "settings", _as_json(self.settings))
        _require(self.channels > 0, "channels", self.channels, "a positive number")
        _require(
            len(self.grid) == 2 and all(isinstance(n, int) and n > 0 for n in self.grid),
            "grid",
            self.grid,
            "rows and columns, both positive",
        )
        names = self.class_names
        _require(
            all(isinstance(name, str) for name in names) and len({IGNORE, *names}) > len(names) > 0,
            "class_names",
            names,
            f"distinct names, none of them '{IGNORE}'",
        )
        _require(
            len(names) <= self.ignore_label < _LABELS,
            "ignore_label",
            self.ignore_label,
            f"a number from {len(names)}, the count of classes, to {_LABELS - 1}",
        )

    @property
    def labels(self) -> dict[str, int]:
        """Class id of every name, "ignore" last."""
        return {name: k for k, name in enumerate(self.class_names)} | {IGNORE: self.ignore_label}

    @property
    def parts(self) -> list["BankHeader"]:
        """Headers of the banks this one was merged of; itself alone if it was not."""
        origins = self.settings.get(_MERGED)
        return [replace(self, **origin) for origin in origins] if origins else [self]

    def describe(self) -> str:
        """A line for people about where styles come from."""
        prompts = [text for part in self.parts for text in part.settings.get("prompts", ())]
        texts = f", {len({*prompts})} texts such as {prompts[0]!r}" if prompts else ""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f"Mined from {self.source} with CLIP {self.clip_name} ({self.clip_fingerprint}){seed}"
            f"{texts}; {self.created_by}."
        )

    def differences(self, expected: Mapping[str, object], *, other: str) -> list[str]:
        """One line per field or setting that has another value than expected, with both values.

        Args:
            expected: value by field; None for whatever will do.
            other: who expects it.
        """
        return [
            f"{name}: the bank has {found}, {other} {wanted}"
            for key, value in expected.items()
            if value is not None
            for name, found, wanted in _differences(key, getattr(self, key), value)
        ]


def merge_headers(headers: Sequence[BankHeader]) -> BankHeader:
    """The header of a bank made of several.

    Returns:
        The header they all have, if so. Otherwise one that names all sources, has the seed they
        share or None, and lists source, seed, settings and program of each under the setting
        "merged"; headers that are merged already give their list.

    Raises:
        StyleBankError: no header, or headers of different models, layers, grids or classes.
    """
    if not headers:
        raise StyleBankError("there is no style bank to merge; pass at least one")
    first = headers[0]
    common = {name: getattr(first, name) for name in _COMMON}
    embeddings = [h.whole_clip_fingerprint for h in headers if h.whole_clip_fingerprint]
    for place, header in enumerate(headers[1:], start=2):
        expected = common
        if embeddings and header.whole_clip_fingerprint:
            expected = common | {"whole_clip_fingerprint": embeddings[0]}
        if found := header.differences(expected, other="the first"):
            raise StyleBankError(
                f"style bank {place} of {len(headers)} cannot be merged with the first; merge "
                f"banks of one model: {'; '.join(found)}"
            )
    if all(header == first for header in headers):
        return first
    origins: list[dict[str, Any]] = []
    for header in headers:
        origins += [{name: getattr(part, name) for name in _ORIGIN} for part in header.parts]
    seeds = {origin["seed"] for origin in origins}
    return BankHeader(
        **common,
        source=joined_names(list(dict.fromkeys(origin["source"] for origin in origins))),
        seed=seeds.pop() if len(seeds) == 1 else None,
        settings={_MERGED: origins},
        whole_clip_fingerprint=embeddings[0] if len(embeddings) == len(headers) else None,
    )


def bullets(lines: Iterable[str]) -> str:
    """Lines as the list that ends a message."""
    return "".join(f"\n- {line}" for line in lines)


def _differences(name: str, first: object, second: object) -> list[tuple[str, str, str]]:
    """Name and both values of everything that differs, down to the entries of mappings."""
    if first == second or (name == _IMAGES and same_images(first, second)):
        return []
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = dict.fromkeys([*first, *second])
        return [
            line
            for key in keys
            for line in _differences(f"{name}.{key}", first.get(key), second.get(key))
        ]
    return [(name, _telling(first, second), _telling(second, first))]


def _telling(value: object, other: object) -> str:
    """A value in words; of long lists the first items that the other has not."""
    if not isinstance(value, list) or len(value) <= _SHOWN:
        return repr(value)
    known = other if isinstance(other, list) else []
    own = [item for item in value if item not in known] or value
    more = ", ..." if len(own) > _SHOWN else ""
    return f"{len(value)} items such as {', '.join(map(repr, own[:_SHOWN]))}{more}"


def _require(fits: bool, name: str, value: object, expected: object) -> None:
    if not fits:
        raise StyleBankError(f"style bank header: {name} is {value!r}, expected {expected}")


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False, default=_as_list))
    except (TypeError, ValueError) as error:
        raise StyleBankError(
            f"style bank header: settings cannot be written as JSON ({error}); use dicts, lists, "
            "strings, finite numbers, booleans and None"
        ) from error


def _as_list(value: object) -> list[Any]:
    """The lists of a LazyConfig are list-like objects of their own."""
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")
