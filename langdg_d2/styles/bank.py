"""The style bank: mined statistics per class, their header, and their file.

The file is safetensors, with version and header as JSON in its metadata. Prompts are tensors: each
distinct text once, and its index for every style. Version 1 had them as JSON in the metadata, for
which safetensors has a limit that 2.6 million prompts exceed.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from tabulate import tabulate
from torch import Tensor

import langdg_d2

from ..data.sources import joined_names, same_images
from ..modeling import Backbone
from ..modeling.checkpoint_files import clip_fingerprint
from ..structures import PatchGrid
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from ..utils.seeding import derived_seed

logger = logging.getLogger(__name__)

IGNORE = "ignore"  # name of the class of unlabelled patches
NUM_LABELS = 1 << 8  # class ids are 8-bit, as label maps are

_HEADER_TYPES: dict[str, type | tuple[type, ...]] = {
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
# Fields that have to agree for banks to be merged; the others describe the origin.
_MODEL = (
    *("clip_name", "clip_fingerprint", "layer", "channels"),
    *("grid", "class_names", "ignore_label"),
)
_ORIGIN = ("source", "seed", "settings", "created_by")
_MERGED = "merged"
_IMAGES = "settings.images"  # a fingerprint
_SHOWN = 3  # items of a long list in a message

_TENSORS = {
    "mean": torch.float32,
    "std": torch.float32,
    "class_id": torch.uint8,
    "cosine_before": torch.float32,
    "cosine_after": torch.float32,
}
_PER_CHANNEL = ("mean", "std")
_COSINE_SLACK = 1e-3  # low precision may push a cosine over 1
_REMEDY = "mine one with tools/mine_styles.py, or pass the bank that belongs to this model"

_FORMAT = "langdg_d2.style_bank"  # the record's key in the metadata
_VERSION = 2
_CHECKSUM = "sha256"  # of the rest of the record and the tensors; banks of early versions have none
_TEXTS = "prompt_texts"  # bytes of a JSON list of distinct texts
_INDEX = "prompt_index"  # (S,) index of each style's text in that list


class StyleBankError(LangDGError):
    """A style bank is damaged or does not fit; the message says where and what to do."""


def _this_version() -> str:
    return f"langdg_d2 {langdg_d2.__version__}"


@dataclass(frozen=True, kw_only=True)
class BankHeader:
    """Model, patches and classes that the styles of a bank belong to, and their origin.

    Attributes:
        clip_name: open_clip's name of the architecture.
        clip_fingerprint: `feature_fingerprint` of the CLIP's image tower.
        layer: layer of CLIP's image tower whose output is restyled, "layer1" in the paper.
        channels: number of channels of that output.
        grid: rows and columns of the patches an image was cut into.
        class_names: class id k is the k-th.
        ignore_label: class id of unlabelled patches, in 0..255; not the id of a class.
        source: name of the mined set; several sets, also of merged banks, as "a + b".
        seed: seed of the mining; None if unknown or if merged banks differ in it.
        settings: how the styles were mined; JSON types.
        created_by: program and version.
        whole_clip_fingerprint: fingerprint of all weights that make CLIP's embeddings, with the
            text tower; None if unknown, as in banks of earlier versions.

    Raises:
        StyleBankError: if a value is not as described above.
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
        for name, kind in _HEADER_TYPES.items():
            self._require(isinstance(getattr(self, name), kind), name, kind)
        # As a file gives them back: a bank equals itself after saving and loading.
        lists = {"grid": tuple(self.grid), "class_names": tuple(self.class_names)}
        vars(self).update(lists, settings=_as_json(self.settings))
        self._require(self.channels > 0, "channels", "a positive number")
        is_grid = len(self.grid) == 2 and all(isinstance(n, int) and n > 0 for n in self.grid)
        self._require(is_grid, "grid", "rows and columns, both positive")
        names = self.class_names
        are_names = all(isinstance(name, str) for name in names)
        are_distinct = are_names and len({IGNORE, *names}) > len(names) > 0
        self._require(are_distinct, "class_names", f"distinct names other than '{IGNORE}'")
        self._require(
            len(names) <= self.ignore_label < NUM_LABELS,
            "ignore_label",
            f"a number from {len(names)}, the count of classes, to {NUM_LABELS - 1}",
        )

    @property
    def labels(self) -> dict[str, int]:
        """Class id of every name, "ignore" last."""
        return {name: k for k, name in enumerate(self.class_names)} | {IGNORE: self.ignore_label}

    @property
    def parts(self) -> list["BankHeader"]:
        """Headers of the banks that this one was merged from; only itself if it was not merged."""
        origins = self.settings.get(_MERGED)
        return [replace(self, **origin) for origin in origins] if origins else [self]

    def describe(self) -> str:
        """One line about the origin of the styles."""
        prompts = [text for part in self.parts for text in part.settings.get("prompts", ())]
        texts = f", {len({*prompts})} texts such as {prompts[0]!r}" if prompts else ""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f"Mined from {self.source} with CLIP {self.clip_name} ({self.clip_fingerprint}){seed}"
            f"{texts}; {self.created_by}."
        )

    def differences(self, expected: Mapping[str, object], *, other: str) -> list[str]:
        """One line for each field or setting that differs from the expected value, with both.

        Args:
            expected: value by field; None is not compared.
            other: name of the side that expects them, for the lines.
        """
        return [
            f"{name}: the bank has {found}, {other} {wanted}"
            for key, value in expected.items()
            if value is not None
            for name, found, wanted in _differences(key, getattr(self, key), value)
        ]

    def origin_differences(self, origin: Mapping[str, Any], *, other: str) -> list[str]:
        """Distinct `differences` of source, seed and settings of all merged banks.

        Args:
            origin: these three fields, see `mining_origin`.
            other: as in `differences`.
        """
        lines: dict[str, None] = {}
        for part in self.parts:
            wanted = vars(replace(part, **origin))
            lines |= dict.fromkeys(part.differences(wanted, other=other))
        return list(lines)

    def _require(self, fits: bool, name: str, expected: object) -> None:
        if not fits:
            raise StyleBankError(
                f"style bank header: {name} is {getattr(self, name)!r}, expected {expected}"
            )


def merge_headers(headers: Sequence[BankHeader]) -> BankHeader:
    """The header of a bank made of several.

    Returns:
        The common header if all are equal. Otherwise one that names all sources, has the common
        seed or None, and lists source, seed, settings and program of each under the setting
        "merged"; lists of merged headers are joined.

    Raises:
        StyleBankError: if there is no header, or if models, layers, grids or classes differ.
    """
    if not headers:
        raise StyleBankError("there is no style bank to merge; pass at least one")
    first = headers[0]
    common = {name: getattr(first, name) for name in _MODEL}
    clips = [h.whole_clip_fingerprint for h in headers if h.whole_clip_fingerprint]
    for place, header in enumerate(headers[1:], start=2):
        expected = dict(common)
        if clips and header.whole_clip_fingerprint:
            expected["whole_clip_fingerprint"] = clips[0]
        if found := header.differences(expected, other="the first"):
            raise StyleBankError(
                f"style bank {place} of {len(headers)} cannot be merged with the first; merge "
                f"banks of one model: {'; '.join(found)}"
            )
    if all(header == first for header in headers):
        return first
    origins = [
        {name: getattr(part, name) for name in _ORIGIN}
        for header in headers
        for part in header.parts
    ]
    seeds = {origin["seed"] for origin in origins}
    return BankHeader(
        **common,
        source=joined_names(list(dict.fromkeys(origin["source"] for origin in origins))),
        seed=seeds.pop() if len(seeds) == 1 else None,
        settings={_MERGED: origins},
        whole_clip_fingerprint=clips[0] if len(clips) == len(headers) else None,
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StyleBank:
    """S mined styles; style s is row s of every tensor. Tensors are copied; do not change them.

    Attributes:
        header: model, patches, classes and origin of the styles.
        mean: (S, C) float32, per channel, finite.
        std: (S, C) float32, finite; may be negative, since PIN optimises it freely.
        class_id: (S,) uint8, a class of the header or its ignore label.
        prompts: S target texts, "" where unknown.
        cosine_before: (S,) float32, similarity of patch and text before mining, in -1..1; NaN if
            unknown.
        cosine_after: (S,) float32, similarity after mining.

    Raises:
        StyleBankError: if a tensor is not as described above.
    """

    header: BankHeader
    mean: Tensor
    std: Tensor
    class_id: Tensor
    prompts: Sequence[str]
    cosine_before: Tensor
    cosine_after: Tensor

    def __post_init__(self) -> None:
        vars(self).update(prompts=tuple(self.prompts))
        self._require_shapes()
        # Copies: an optimiser may go on changing the tensors that it was given.
        for name, tensor in self._tensors().items():
            own = tensor.detach().clone(memory_format=torch.contiguous_format)
            vars(self).update({name: own})
        self._require_values()

    def __len__(self) -> int:
        return len(self.prompts)

    def save(self, path: str | Path) -> None:
        """Create or replace a safetensors file; creates its folder if needed.

        The same bank gives the same bytes.

        Raises:
            OSError: if the file cannot be written; an earlier file is kept.
        """
        tensors = {name: tensor.cpu() for name, tensor in self._tensors().items()}
        tensors |= _pack(self.prompts)
        record = {"version": _VERSION, "header": asdict(self.header)}
        # A single entry: safetensors writes several in random order.
        metadata = {_FORMAT: json.dumps({**record, _CHECKSUM: _checksum(record, tensors)})}
        write_atomically(Path(path), save(tensors, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> "StyleBank":
        """Read a file of `save`, on the CPU. Nothing in the file is executed.

        Raises:
            StyleBankError: if the file is missing, of another kind or version, or damaged.
        """
        damage = (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError)
        try:
            return cls(**_read(Path(path)))
        except (*damage, LangDGError) as error:
            raise StyleBankError(
                f"'{path}' cannot be read as a style bank ({type(error).__name__}: {error}); "
                f"{_REMEDY}"
            ) from error

    def check(
        self,
        backbone: Backbone,
        *,
        grid: PatchGrid | None = None,
        class_names: Sequence[str] | None = None,
        ignore_label: int | None = None,
    ) -> None:
        """Check that the bank fits a model: its restyled features, patches and classes.

        Weights of the image tower are compared only if they are frozen, and thus CLIP's own. The
        text tower is compared only if bank and backbone both know its fingerprint; a backbone with
        weights of a checkpoint does not.

        Args:
            backbone: backbone of the model.
            grid: patches of training; None to skip.
            class_names: name of every train id; None to skip.
            ignore_label: train id of unlabelled patches; None to skip.

        Raises:
            StyleBankError: lists every difference and what to do.
        """
        frozen = not any(weights.requires_grad for weights in backbone.low_state().values())
        whole = backbone.clip_fingerprint
        if whole is not None and self.header.whole_clip_fingerprint is None:
            whole = None
            logger.info(
                "the style bank does not say which text tower it was mined with, as banks of "
                "earlier versions and of the official release: the text tower is not checked"
            )
        if backbone.clip_fingerprint is None:
            logger.info("the text tower of the style bank is not checked: no CLIP was loaded")
        expected = {
            "layer": backbone.restyled_layer,
            "channels": backbone.restyled_channels,
            "clip_fingerprint": feature_fingerprint(backbone) if frozen else None,
            "whole_clip_fingerprint": whole,
            "grid": None if grid is None else (grid.rows, grid.cols),
            "class_names": None if class_names is None else tuple(class_names),
            "ignore_label": ignore_label,
        }
        if found := self.header.differences(expected, other="the model"):
            raise StyleBankError(
                f"the style bank belongs to another model; {_REMEDY}:{bullets(found)}"
            )

    @classmethod
    def merge(cls, banks: Sequence["StyleBank"]) -> "StyleBank":
        """One bank with the styles of all banks, in their order.

        Where headers differ in source, seed, settings or program, the merged header names the
        sources, and its settings list all four of every bank under "merged".

        Args:
            banks: banks on one device.

        Raises:
            StyleBankError: if there is no bank, or if models, layers, grids or classes differ.
        """
        header = merge_headers([bank.header for bank in banks])
        return banks[0]._with(
            header=header,
            prompts=tuple(prompt for bank in banks for prompt in bank.prompts),
            **{name: torch.cat([getattr(bank, name) for bank in banks]) for name in _TENSORS},
        )

    def subset(self, *, classes: Collection[str]) -> "StyleBank":
        """The styles of some classes, by name or "ignore"; the result may be empty.

        Raises:
            StyleBankError: if the header does not have a class.
        """
        labels = self.header.labels
        if unknown := [name for name in classes if name not in labels]:
            raise StyleBankError(f"the style bank has no class {unknown}; it has {sorted(labels)}")
        wanted = self.class_id.new_tensor([labels[name] for name in classes])
        return self.rows(torch.isin(self.class_id, wanted).nonzero().flatten().tolist())

    def sample(self, per_class: int, *, seed: int) -> "StyleBank":
        """At most `per_class` styles of each class, "ignore" included.

        Drawn uniformly without replacement, kept in order; seed and bank determine the draw.
        """
        chosen: list[int] = []
        for k in self.header.labels.values():
            rows = (self.class_id == k).nonzero().flatten().tolist()
            random = Random(derived_seed(seed, k, purpose="styles of a class"))
            chosen += random.sample(rows, min(per_class, len(rows)))
        return self.rows(sorted(chosen))

    def rows(self, index: Sequence[int]) -> "StyleBank":
        """The styles of these rows, in this order."""
        return self._with(
            prompts=tuple(self.prompts[row] for row in index),
            **{name: tensor[list(index)] for name, tensor in self._tensors().items()},
        )

    def to(self, device: torch.device | str) -> "StyleBank":
        """The bank with its tensors on a device."""
        return self._with(**{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def counts(self) -> dict[str, int]:
        """Number of styles by class name, zero included, "ignore" last."""
        count = torch.bincount(self.class_id.long(), minlength=NUM_LABELS).tolist()
        return {name: count[k] for name, k in self.header.labels.items()}

    def describe(self) -> str:
        """Markdown table of styles, distinct texts and mean cosines by class."""
        parts = {name: self.subset(classes=[name]) for name in self.header.labels}
        rows = [
            (
                name,
                len(part),
                len(set(part.prompts)),
                _average(part.cosine_before),
                _average(part.cosine_after),
            )
            for name, part in (parts | {"total": self}).items()
        ]
        return tabulate(
            rows,
            headers=("class", "styles", "prompts", "cosine before", "cosine after"),
            tablefmt="pipe",
            disable_numparse=True,
            colalign=("left", "right", "right", "right", "right"),
        )

    def _tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in _TENSORS}

    def _with(self, **changes: object) -> "StyleBank":
        """A changed copy, not checked again: that would take seconds for millions of styles."""
        other = copy(self)
        vars(other).update(changes)
        return other

    def _require_shapes(self) -> None:
        for name, dtype in _TENSORS.items():
            tensor = getattr(self, name)
            shape = (len(self), self.header.channels) if name in _PER_CHANNEL else (len(self),)
            if tensor.shape != shape or tensor.dtype != dtype:
                raise StyleBankError(
                    f"style bank: {name} is {tuple(tensor.shape)} {tensor.dtype}, expected "
                    f"{shape} {dtype}, for {len(self)} prompts and {self.header.channels} channels"
                )

    def _require_values(self) -> None:
        if strange := {type(prompt).__name__ for prompt in self.prompts} - {"str"}:
            raise StyleBankError(f"style bank: prompts are of type {strange}, expected strings")
        labels = self.header.labels
        known = self.class_id.new_tensor(list(labels.values()))
        faults = {
            f"{name} is not finite": ~getattr(self, name).isfinite().all(dim=1)
            for name in _PER_CHANNEL
        }
        faults[f"class_id is not one of {labels}"] = ~torch.isin(self.class_id, known)
        for name in ("cosine_before", "cosine_after"):
            faults[f"{name} is not in -1..1"] = getattr(self, name).abs() > 1 + _COSINE_SLACK
        for fault, where in faults.items():
            if rows := where.nonzero().flatten().tolist():
                raise StyleBankError(
                    f"style bank: {fault} in {len(rows)} of {len(self)} styles, first in "
                    f"style {rows[0]} (prompt '{self.prompts[rows[0]]}'); remove these styles"
                )


def feature_fingerprint(backbone: Backbone) -> str:
    """Fingerprint of the weights up to the restyled layer.

    Later layers do not affect the bank, and training changes some.
    """
    return clip_fingerprint(backbone.low_state())


def bullets(lines: Iterable[str]) -> str:
    """Lines as a list at the end of a message."""
    return "".join(f"\n- {line}" for line in lines)


def _average(values: Tensor) -> str:
    known = values[~values.isnan()]
    return f"{known.mean():.3f}" if len(known) else "\u2013"


def _differences(name: str, first: object, second: object) -> list[tuple[str, str, str]]:
    """Name and both values of each difference; mappings are compared entry by entry."""
    if first == second or (name == _IMAGES and same_images(first, second)):
        return []
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return [
            line
            for key in dict.fromkeys([*first, *second])
            for line in _differences(f"{name}.{key}", first.get(key), second.get(key))
        ]
    return [(name, _in_words(first, second), _in_words(second, first))]


def _in_words(value: object, other: object) -> str:
    """A value as text; of long lists the first items that the other does not have."""
    if not isinstance(value, list) or len(value) <= _SHOWN:
        return repr(value)
    known = other if isinstance(other, list) else []
    own = [item for item in value if item not in known] or value
    more = ", ..." if len(own) > _SHOWN else ""
    return f"{len(value)} items such as {', '.join(map(repr, own[:_SHOWN]))}{more}"


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False, default=_as_list))
    except (TypeError, ValueError) as error:
        raise StyleBankError(
            f"style bank header: settings cannot be written as JSON ({error}); use dicts, lists, "
            "strings, finite numbers, booleans and None"
        ) from error


def _as_list(value: object) -> list[Any]:
    """Lists of a LazyConfig, which are not Python lists, as lists."""
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _read(path: Path) -> dict[str, Any]:
    """Arguments of a bank from its file."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if _FORMAT not in metadata:
            raise StyleBankError(f"a safetensors file, but without the entry '{_FORMAT}'")
        record = json.loads(metadata[_FORMAT])
        version = record["version"]
        if version not in (1, _VERSION):
            raise StyleBankError(f"version {version}, this program reads versions 1 and {_VERSION}")
        expected = {*_TENSORS} if version == 1 else {*_TENSORS, _TEXTS, _INDEX}
        if set(file.keys()) != expected:
            raise StyleBankError(f"it holds {sorted(file.keys())}, expected {sorted(expected)}")
        tensors = {name: file.get_tensor(name) for name in expected}
    checksum = record.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(record, tensors):
        raise StyleBankError("its checksum is wrong: it is damaged")
    prompts = record["prompts"] if version == 1 else _unpack(tensors)
    header = BankHeader(**record["header"])
    return {"header": header, "prompts": prompts, **{name: tensors[name] for name in _TENSORS}}


def _pack(prompts: Sequence[str]) -> dict[str, Tensor]:
    places = {text: place for place, text in enumerate(dict.fromkeys(prompts))}
    texts = json.dumps(list(places)).encode()
    return {
        _TEXTS: torch.frombuffer(bytearray(texts), dtype=torch.uint8),
        _INDEX: torch.tensor([places[text] for text in prompts], dtype=torch.int32),
    }


def _unpack(tensors: Mapping[str, Tensor]) -> list[str]:
    texts, index = json.loads(tensors[_TEXTS].numpy().tobytes()), tensors[_INDEX]
    if not isinstance(texts, list) or ((index < 0) | (index >= len(texts))).any():
        raise StyleBankError("its prompts are damaged")
    return [texts[place] for place in index.tolist()]


def _checksum(record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a record of JSON types and of tensors on the CPU, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(record).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
