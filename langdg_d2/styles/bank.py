"""The style bank: mined statistics of each class, their origin, and the file format."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .. import __version__
from ..data.sources import joined_names
from ..modeling import Backbone
from ..modeling.checkpoint_files import fingerprint
from ..structures import PatchGrid
from ..utils.errors import LangDGError, shortened
from ..utils.file_io import write_atomically
from ..utils.seeding import derived_seed

IGNORE = "ignore"  # class name of unlabelled patches
NUM_LABELS = 1 << 8  # class ids are 8-bit, as label maps are

# Fields that must be equal in merged banks; the others describe the origin.
_MODEL = (
    *("clip_name", "clip_fingerprint", "layer", "channels"),
    *("grid", "class_names", "ignore_label"),
)
_ORIGIN = ("source", "seed", "settings", "created_by")
_MERGED = "merged"

_TENSORS = ("mean", "std", "class_id", "cosine_before", "cosine_after")
_REMEDY = "mine one with tools/mine_styles.py, or pass the bank that belongs to this model"

_FORMAT = "langdg_d2.style_bank"  # key of the record in the file's metadata
_VERSION = 2
_CHECKSUM = "sha256"  # of the tensors and the rest of the record
# Prompts are stored as tensors because safetensors limits the size of the metadata.
_TEXTS = "prompt_texts"  # bytes of a JSON list of distinct texts
_INDEX = "prompt_index"  # (S,) index of each style's text in that list


class StyleBankError(LangDGError):
    """A style bank is damaged or belongs to another model."""


@dataclass(frozen=True, kw_only=True)
class BankHeader:
    """Model, patch grid and classes that the styles of a bank belong to, and their origin.

    Attributes:
        clip_name: open_clip's name of the architecture.
        clip_fingerprint: `feature_fingerprint` of CLIP's image tower.
        layer: restyled layer of the image tower, "layer1" in the paper.
        channels: number of channels of its output.
        grid: rows and columns of patches in an image.
        class_names: name of each class id, in order.
        ignore_label: class id of unlabelled patches, up to 255.
        source: name of the mined data set, or "a + b" for several.
        seed: seed of the mining; None if unknown or if it differs between merged banks.
        settings: settings of the mining, in JSON types.
        created_by: program and version.
        whole_clip_fingerprint: fingerprint of everything that determines CLIP's embeddings; None if
            unknown, as in banks of the official release.
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
    created_by: str = f"langdg_d2 {__version__}"
    whole_clip_fingerprint: str | None = None

    def __post_init__(self) -> None:
        least = len(self.class_names)
        if IGNORE in self.class_names or not least <= self.ignore_label < NUM_LABELS:
            raise StyleBankError(
                f"style bank of the classes {self.class_names} and ignore label "
                f"{self.ignore_label}: expected an ignore label in {least}..{NUM_LABELS - 1}, and "
                f"no class named '{IGNORE}'"
            )

    @property
    def labels(self) -> dict[str, int]:
        """Class ids by name, with "ignore" last."""
        return {name: k for k, name in enumerate(self.class_names)} | {IGNORE: self.ignore_label}

    @property
    def parts(self) -> list["BankHeader"]:
        """Headers of the banks that this one was merged from; only itself if not merged."""
        origins = self.settings.get(_MERGED)
        return [replace(self, **origin) for origin in origins] if origins else [self]

    def describe(self) -> str:
        """Describe the origin of the styles in one line."""
        prompts = [text for part in self.parts for text in part.settings.get("prompts", ())]
        texts = f", {len({*prompts})} texts such as {prompts[0]!r}" if prompts else ""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f"Mined from {self.source} with CLIP {self.clip_name} ({self.clip_fingerprint}){seed}"
            f"{texts}; {self.created_by}."
        )

    def differences(self, expected: Mapping[str, Any], *, other: str) -> list[str]:
        """Return a line with both values for each field or setting that differs.

        Args:
            expected: values by field; None, here or in the header, means unknown and is skipped.
            other: name for the owner of the expected values, used in the lines.
        """
        return [
            f"{name}: the bank has {found}, {other} {wanted}"
            for key, value in expected.items()
            if value is not None and getattr(self, key) is not None
            for name, found, wanted in _differences(key, getattr(self, key), value)
        ]


def merge_headers(headers: Sequence[BankHeader]) -> BankHeader:
    """Merge the headers of several banks.

    Returns:
        The common header if all are equal. Otherwise, its `source` names all sources, and its
        setting "merged" lists the origin of each bank.

    Raises:
        StyleBankError: if the banks belong to different models.
    """
    first = headers[0]
    common = {name: getattr(first, name) for name in _MODEL}
    clips = [header.whole_clip_fingerprint for header in headers]
    expected = common | {"whole_clip_fingerprint": next(filter(None, clips), None)}
    for place, header in enumerate(headers, start=1):
        if found := header.differences(expected, other="the first"):
            raise StyleBankError(
                f"style bank {place} of {len(headers)} cannot be merged with the first, because "
                f"they belong to different models: {'; '.join(found)}"
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
        whole_clip_fingerprint=None if None in clips else clips[0],
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StyleBank:
    """S mined styles; style s is row s of every tensor. Treat it as immutable.

    Attributes:
        header: model and origin of the styles.
        mean: channel means (S, C) float32.
        std: channel stds (S, C) float32; may be negative, because PIN does not constrain them.
        class_id: (S,) uint8, class ids or the ignore label.
        prompts: S target texts, "" if unknown.
        cosine_before: (S,) float32, similarity of patch and text before mining; NaN if unknown.
        cosine_after: (S,) float32, similarity after mining.
    """

    header: BankHeader
    mean: Tensor
    std: Tensor
    class_id: Tensor
    prompts: Sequence[str]
    cosine_before: Tensor
    cosine_after: Tensor

    def __len__(self) -> int:
        return len(self.prompts)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file atomically. Equal banks give identical files."""
        places = {text: place for place, text in enumerate(dict.fromkeys(self.prompts))}
        texts = json.dumps(list(places)).encode()
        tensors = {name: tensor.cpu() for name, tensor in self._tensors().items()}
        tensors[_TEXTS] = torch.frombuffer(bytearray(texts), dtype=torch.uint8)
        tensors[_INDEX] = torch.tensor([places[text] for text in self.prompts], dtype=torch.int32)
        record = {"version": _VERSION, "header": asdict(self.header)}
        # A single entry, because safetensors writes several entries in random order.
        metadata = {_FORMAT: json.dumps({**record, _CHECKSUM: _checksum(record, tensors)})}
        write_atomically(Path(path), save(tensors, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> "StyleBank":
        """Load a bank written by `save` onto the CPU. Nothing in the file is executed.

        Raises:
            StyleBankError: if the file is missing, damaged, or of another kind or version.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if _FORMAT not in metadata:
                    raise StyleBankError(f"a safetensors file without the entry '{_FORMAT}'")
                # Copied, because the mapped file may be replaced while the bank is in use.
                names = file.keys()
                tensors = {name: file.get_tensor(name).clone() for name in names}
            record = json.loads(metadata[_FORMAT])
            if record["version"] != _VERSION:
                raise StyleBankError(f"version {record['version']}, expected {_VERSION}")
            if record.pop(_CHECKSUM) != _checksum(record, tensors):
                raise StyleBankError("its checksum is wrong, so it is damaged")
            fields = record["header"]
            lists = {name: tuple(fields[name]) for name in ("grid", "class_names")}
            texts = json.loads(tensors.pop(_TEXTS).numpy().tobytes())
            prompts = tuple(texts[place] for place in tensors.pop(_INDEX).tolist())
            return cls(header=BankHeader(**fields | lists), prompts=prompts, **tensors)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, LangDGError) as error:
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
        """Check that the bank fits a model's restyled features, patches and classes.

        Args:
            backbone: backbone of the model. Its low layers are compared only if they are frozen
                and thus equal to CLIP's.
            grid: patch grid in training; None to skip.
            class_names: name of each train id; None to skip.
            ignore_label: train id of unlabelled patches; None to skip.

        Raises:
            StyleBankError: if it does not fit. The message lists the differences.
        """
        frozen = not any(weights.requires_grad for weights in backbone.low_state().values())
        expected = {
            "layer": backbone.restyled_layer,
            "channels": backbone.restyled_channels,
            "clip_fingerprint": feature_fingerprint(backbone) if frozen else None,
            "whole_clip_fingerprint": backbone.whole_clip_fingerprint,
            "grid": None if grid is None else (grid.rows, grid.cols),
            "class_names": None if class_names is None else tuple(class_names),
            "ignore_label": ignore_label,
        }
        if found := self.header.differences(expected, other="the model"):
            lines = "\n- ".join(found)
            raise StyleBankError(f"the style bank belongs to another model; {_REMEDY}:\n- {lines}")

    def require_finite(self) -> None:
        """Raise `StyleBankError` if statistics are not finite."""
        for name in ("mean", "std"):
            strange = ~getattr(self, name).isfinite().all(dim=1)
            if rows := strange.nonzero().flatten().tolist():
                raise StyleBankError(
                    f"style bank: non-finite {name} in {len(rows)} of {len(self)} styles; first: "
                    f"style {rows[0]} (prompt '{self.prompts[rows[0]]}')"
                )

    @classmethod
    def merge(cls, banks: Sequence["StyleBank"]) -> "StyleBank":
        """Concatenate one or more banks on the same device, see `merge_headers`."""
        return cls(
            header=merge_headers([bank.header for bank in banks]),
            prompts=tuple(prompt for bank in banks for prompt in bank.prompts),
            **{name: torch.cat([getattr(bank, name) for bank in banks]) for name in _TENSORS},
        )

    def subset(self, *, classes: Collection[str]) -> "StyleBank":
        """Select the styles of classes given by name or "ignore"; the result may be empty."""
        wanted = self.class_id.new_tensor([self.header.labels[name] for name in classes])
        return self.rows(torch.isin(self.class_id, wanted).nonzero().flatten().tolist())

    def sample(self, per_class: int, *, seed: int) -> "StyleBank":
        """Draw at most `per_class` styles of each class and of "ignore", in bank order.

        They are drawn uniformly without replacement, determined by seed and bank.
        """
        chosen: list[int] = []
        for k in self.header.labels.values():
            rows = (self.class_id == k).nonzero().flatten().tolist()
            random = Random(derived_seed(seed, k, purpose="styles of a class"))
            chosen += random.sample(rows, min(per_class, len(rows)))
        return self.rows(sorted(chosen))

    def rows(self, index: Sequence[int]) -> "StyleBank":
        """Select styles by row, in the given order."""
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in index),
            **{name: tensor[list(index)] for name, tensor in self._tensors().items()},
        )

    def to(self, device: torch.device | str) -> "StyleBank":
        """Return the bank with its tensors on a device."""
        tensors = {name: tensor.to(device) for name, tensor in self._tensors().items()}
        return replace(self, **tensors)

    def counts(self) -> dict[str, int]:
        """Return the number of styles by class name, including zeros, with "ignore" last."""
        return {name: int((self.class_id == k).sum()) for name, k in self.header.labels.items()}

    def table(self) -> pd.DataFrame:
        """Return a table by class: numbers of styles and distinct texts, and mean cosines."""
        parts = {name: self.subset(classes=[name]) for name in self.header.labels}
        return pd.DataFrame(
            {
                "class": name,
                "styles": len(part),
                "prompts": len(set(part.prompts)),
                "cosine before": _average(part.cosine_before),
                "cosine after": _average(part.cosine_after),
            }
            for name, part in (parts | {"total": self}).items()
        )

    def describe(self) -> str:
        """Return `table` in Markdown."""
        align = ("left", *["right"] * 4)
        return self.table().to_markdown(index=False, disable_numparse=True, colalign=align)

    def _tensors(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _TENSORS}


def feature_fingerprint(backbone: Backbone) -> str:
    """Return the fingerprint of the layers up to the restyled one, which produce the statistics."""
    return fingerprint(backbone.low_state())


def _average(values: Tensor) -> str:
    known = values[~values.isnan()]
    return f"{known.mean():.3f}" if len(known) else "\u2013"


def _differences(name: str, first: object, second: object) -> list[tuple[str, str, str]]:
    """Return name and both values of each difference; mappings are compared by entry."""
    if first == second:
        return []
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return [
            line
            for key in dict.fromkeys([*first, *second])
            for line in _differences(f"{name}.{key}", first.get(key), second.get(key))
        ]
    return [(name, _in_words(first, second), _in_words(second, first))]


def _in_words(value: object, other: object) -> str:
    """Format a value; for long lists, such as prompts, the first items missing in the other."""
    if not isinstance(value, list) or len(value) <= 3:
        return repr(value)
    known = other if isinstance(other, list) else []
    own = [item for item in value if item not in known] or value
    return f"{len(value)} items such as {shortened(map(repr, own))}"


def _checksum(record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> str:
    """Return the hexadecimal SHA-256 of a record in JSON types and of tensors on the CPU."""
    digest = hashlib.sha256(json.dumps(record).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().numpy().data)
    return digest.hexdigest()
