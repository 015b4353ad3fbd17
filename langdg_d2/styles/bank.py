"""The style bank: mined statistics per class, and the file they are kept in."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from safetensors import SafetensorError
from tabulate import tabulate
from torch import Tensor

from ..utils.errors import LangDGError
from ..utils.seeding import derived_seed
from .bank_file import read_bank_file, write_bank_file
from .bank_header import BankHeader, StyleBankError, bullets, merge_headers

_TENSORS = {
    "mean": torch.float32,
    "std": torch.float32,
    "class_id": torch.uint8,
    "cosine_before": torch.float32,
    "cosine_after": torch.float32,
}
_PER_CHANNEL = ("mean", "std")
_REMEDY = "mine one with tools/mine_styles.py, or pass the bank that belongs to this model"
_COSINE_SLACK = 1e-3  # low precision may push a cosine over 1
_MISSING = "\u2013"  # en dash


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StyleBank:
    """S mined styles; style s is row s of every tensor. Tensors are copied in and not to change.

    Attributes:
        header: what the styles belong to and come from.
        mean: (S, C) float32, per channel, finite.
        std: (S, C) float32, finite; may be negative, since PIN optimises it freely.
        class_id: (S,) uint8, a class of the header or its ignore label.
        prompts: S target texts, "" where unknown.
        cosine_before: (S,) float32, similarity of patch and text before mining, in -1..1, NaN
            where unknown.
        cosine_after: the same after mining.

    Raises:
        StyleBankError: if a tensor is not what is described here.
    """

    header: BankHeader
    mean: Tensor
    std: Tensor
    class_id: Tensor
    prompts: Sequence[str]
    cosine_before: Tensor
    cosine_after: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))
        self._require_shapes()
        for name, tensor in self._tensors().items():
            # Own memory: an optimiser may go on changing what it was given.
            own = tensor.detach().clone(memory_format=torch.contiguous_format)
            object.__setattr__(self, name, own)
        self._require_values()

    def __len__(self) -> int:
        return len(self.prompts)

    def save(self, path: str | Path) -> None:
        """Create or replace a safetensors file; its folder is created if need be.

        Raises:
            OSError: if it cannot be written; an earlier file is then left as it was.
        """
        write_bank_file(Path(path), asdict(self.header), self.prompts, self._tensors())

    @classmethod
    def load(cls, path: str | Path) -> "StyleBank":
        """Read what `save` has written, on the CPU. Nothing in the file is executed.

        Raises:
            StyleBankError: no such file, another kind of file, another version, or damage.
        """
        try:
            header, prompts, tensors = read_bank_file(Path(path), _TENSORS)
            return cls(header=BankHeader(**header), prompts=prompts, **tensors)
        except (
            SafetensorError,
            OSError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
            LangDGError,
        ) as error:
            raise StyleBankError(
                f"'{path}' cannot be read as a style bank ({type(error).__name__}: {error}); "
                f"{_REMEDY}"
            ) from error

    def check(
        self,
        *,
        clip_name: str | None = None,
        clip_fingerprint: str | None = None,
        whole_clip_fingerprint: str | None = None,
        layer: str | None = None,
        channels: int | None = None,
        grid: Sequence[int] | None = None,
        class_names: Sequence[str] | None = None,
        ignore_label: int | None = None,
    ) -> None:
        """Make sure that the bank belongs to a model; what is None here is not looked at.

        Nor is the fingerprint of the whole CLIP where the bank has none.

        Raises:
            StyleBankError: if it does not; lists all differences.
        """
        expected = {
            "clip_name": clip_name,
            "clip_fingerprint": clip_fingerprint,
            "whole_clip_fingerprint": self.header.whole_clip_fingerprint and whole_clip_fingerprint,
            "layer": layer,
            "channels": channels,
            "grid": grid if grid is None else tuple(grid),
            "class_names": class_names if class_names is None else tuple(class_names),
            "ignore_label": ignore_label,
        }
        if found := self.header.differences(expected, other="the model"):
            raise StyleBankError(f"the style bank is another model's; {_REMEDY}:{bullets(found)}")

    @classmethod
    def merge(cls, banks: Sequence["StyleBank"]) -> "StyleBank":
        """One bank of the styles of all, in their order.

        Where headers differ in source, seed, settings or program, the merged header names the
        sources, and its settings list all four of every bank under "merged".

        Args:
            banks: on one device.

        Raises:
            StyleBankError: no bank, or banks of different models, layers, grids or classes.
        """
        return cls(
            header=merge_headers([bank.header for bank in banks]),
            prompts=[prompt for bank in banks for prompt in bank.prompts],
            **{name: torch.cat([getattr(bank, name) for bank in banks]) for name in _TENSORS},
        )

    def subset(
        self,
        *,
        classes: Collection[str] | None = None,
        prompts: Collection[str] | None = None,
    ) -> "StyleBank":
        """The styles of some classes, of some target texts, or of both; there may be none.

        Args:
            classes: class names, or "ignore"; None for all.
            prompts: target texts; None for all.

        Raises:
            StyleBankError: a class the header does not have, or a text that no style has.
        """
        labels = self.header.labels
        ids = {labels[name] for name in _chosen("class", classes, set(labels))}
        texts = _chosen("prompt", prompts, set(self.prompts))
        rows = [
            row
            for row, (k, prompt) in enumerate(zip(self._ids(), self.prompts, strict=True))
            if k in ids and prompt in texts
        ]
        return self.rows(rows)

    def sample(self, per_class: int, *, seed: int) -> "StyleBank":
        """As many styles of each class, unlabelled patches among them, or all where it has fewer.

        They are drawn uniformly without replacement and stay in their order; the seed and the bank
        decide which.
        """
        chosen: list[int] = []
        for k in self.header.labels.values():
            rows = (self.class_id == k).nonzero().flatten().tolist()
            random = Random(derived_seed(seed, k, purpose="styles of a class"))
            chosen += random.sample(rows, min(per_class, len(rows)))
        return self.rows(sorted(chosen))

    def rows(self, index: Sequence[int]) -> "StyleBank":
        """The styles of these rows, in this order."""
        return StyleBank(
            header=self.header,
            prompts=[self.prompts[row] for row in index],
            **{name: tensor[list(index)] for name, tensor in self._tensors().items()},
        )

    def to(self, device: torch.device | str) -> "StyleBank":
        """A copy whose tensors are on a device."""
        return StyleBank(
            header=self.header,
            prompts=self.prompts,
            **{name: tensor.to(device) for name, tensor in self._tensors().items()},
        )

    def counts(self) -> dict[str, int]:
        """Number of styles by class name, zero included, "ignore" last."""
        count = Counter(self._ids())
        return {name: count[k] for name, k in self.header.labels.items()}

    def describe(self) -> str:
        """Markdown table for people: styles, distinct texts and mean cosines of every class."""
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

    def _ids(self) -> list[int]:
        return self.class_id.tolist()

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
        for name in _PER_CHANNEL:
            self._refuse(~getattr(self, name).isfinite().all(dim=1), f"{name} is not finite")
        labels = self.header.labels
        known = self.class_id.new_tensor(list(labels.values()))
        self._refuse(~torch.isin(self.class_id, known), f"class_id is none of {labels}")
        for name in ("cosine_before", "cosine_after"):
            self._refuse(getattr(self, name).abs() > 1 + _COSINE_SLACK, f"{name} is not in -1..1")

    def _refuse(self, bad: Tensor, complaint: str) -> None:
        if rows := bad.nonzero().flatten().tolist():
            raise StyleBankError(
                f"style bank: {complaint} in {len(rows)} of {len(self)} styles, the first of them "
                f"style {rows[0]} (prompt '{self.prompts[rows[0]]}'); leave these out"
            )


def _chosen(kind: str, names: Collection[str] | None, known: set[str]) -> set[str]:
    if names is None:
        return known
    if unknown := [name for name in names if name not in known]:
        raise StyleBankError(f"the style bank has no {kind} {unknown}; it has {sorted(known)}")
    return set(names)


def _average(values: Tensor) -> str:
    known = values[~values.isnan()]
    return f"{known.mean():.3f}" if len(known) else _MISSING
