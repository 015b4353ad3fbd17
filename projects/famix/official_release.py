"""Reading and writing of weights and style banks of the official FAMix release.

Nothing in the files is executed. The networks are equal except for the names of their parts. A
style bank, `saved_params.pkl`, is a pickled dict: `<class>_mu` and `<class>_std` are lists of a
class's statistics, tensors (C, 1, 1); `255_mu` and `255_std` are those of unlabelled patches.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from langdg_d2.data.sources import joined_names
from langdg_d2.modeling import Backbone
from langdg_d2.modeling.checkpoint_files import CheckpointError, misfits, without_prefix
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import BankHeader, StyleBank, StyleBankError
from langdg_d2.styles.bank import IGNORE, feature_fingerprint
from langdg_d2.utils.errors import shortened
from langdg_d2.utils.file_io import write_atomically
from langdg_d2.utils.untrusted import require_small_memo

# Official prefixes by ours. The official pyramid is a list: local, three rates, image mean.
_PARTS = {
    "backbone.tower.": "backbone.",
    "sem_seg_head.project.": "classifier.project.",
    "sem_seg_head.aspp.local.": "classifier.aspp.convs.0.",
    "sem_seg_head.aspp.atrous.0.": "classifier.aspp.convs.1.",
    "sem_seg_head.aspp.atrous.1.": "classifier.aspp.convs.2.",
    "sem_seg_head.aspp.atrous.2.": "classifier.aspp.convs.3.",
    "sem_seg_head.aspp.image_pool.": "classifier.aspp.convs.4.",
    "sem_seg_head.aspp.project.": "classifier.aspp.project.",
    "sem_seg_head.fuse.0.": "classifier.classifier.0.",
    "sem_seg_head.fuse.1.": "classifier.classifier.1.",
    "sem_seg_head.predict.": "classifier.classifier.3.",
}
_ATTENTION_POOL = "attnpool"  # of CLIP; neither network uses it
_MEAN, _STD = "_mu", "_std"
# The only settings that the official code supports.
_OFFICIAL: Mapping[str, Any] = {
    "layer": "layer1",
    "grid": (3, 3),
    "class_names": CITYSCAPES_19.names,
    "ignore_label": CITYSCAPES_19.ignore_label,
}


def from_official(
    weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename official weights to the names in our model; tensors are not copied.

    Args:
        weights: `model_state` of an official checkpoint, possibly with a prefix such as `module.`.
            CLIP's attention pooling, which segmentation does not use, is left out.
        model_state: state dict of our model, for names and shapes.

    Raises:
        CheckpointError: if the weights do not fit the model.
    """
    names = _official_names(model_state)
    return _rename(
        without_prefix(weights, set(names.values())),
        names={theirs: ours for ours, theirs in names.items()},
        expected={theirs: model_state[ours] for ours, theirs in names.items()},
    )


def to_official(
    weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename weights of our model to their official names; the inverse of `from_official`."""
    return _rename(weights, names=_official_names(model_state), expected=model_state)


def _official_names(model_state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return official names by ours."""
    names = {
        ours: official + ours.removeprefix(part)
        for ours in model_state
        for part, official in _PARTS.items()
        if ours.startswith(part)
    }
    if nameless := sorted(set(model_state) - set(names)):
        raise CheckpointError(
            "use a config with the architecture of the official network, such as "
            f"configs/langdg_gta5.py: it has no counterpart of {shortened(nameless)}"
        )
    return names


def _rename(
    weights: Mapping[str, Tensor], *, names: Mapping[str, str], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    weights = {k: v for k, v in weights.items() if _ATTENTION_POOL not in k.split(".")}
    if faults := misfits(weights, expected):
        raise CheckpointError(
            "use the config of the network that the weights belong to (RN50 or RN101, number of "
            f"classes): {len(faults)} do not fit the model. {shortened(faults)}"
        )
    return {new: weights[old] for old, new in names.items() if old in weights}


def official_header(
    *, backbone: Backbone, clip_name: str, source: str | Sequence[str], imported_from: str
) -> BankHeader:
    """Return a header for an official bank file, which has none.

    Args:
        backbone: backbone with the weights of the CLIP that the bank was mined with.
        clip_name: name or JSON path of that CLIP, as for `load_clip`.
        source: name of the mined data set, or of several.
        imported_from: name of the file, recorded in the bank.

    Raises:
        StyleBankError: if the backbone restyles another layer.
    """
    if backbone.restyled_layer != _OFFICIAL["layer"]:
        raise StyleBankError(
            f"official style banks are statistics of '{_OFFICIAL['layer']}', but the model "
            f"restyles '{backbone.restyled_layer}'; use a config with "
            f"model.backbone.restyled_layer={_OFFICIAL['layer']}"
        )
    return BankHeader(
        clip_name=Path(clip_name).name.removesuffix(".json"),
        clip_fingerprint=feature_fingerprint(backbone),
        channels=backbone.restyled_channels,
        source=joined_names(source),
        seed=None,
        settings={"imported_from": imported_from},
        **_OFFICIAL,
    )


def read_official_bank(path: str | Path, *, header: BankHeader) -> StyleBank:
    """Read a bank of the official release, with unknown prompts ("") and cosines (NaN).

    Args:
        path: path of `saved_params.pkl`.
        header: header from `official_header`. The file must have its classes and channels; classes
            may have no styles.

    Returns:
        The bank on the CPU, with styles in the order of the header's classes, then unlabelled ones.

    Raises:
        StyleBankError: if the file is damaged or not an official bank.
    """
    try:
        if zipfile.is_zipfile(path):
            raise StyleBankError("it was written by torch.save, like a checkpoint (.pth)")
        data = Path(path).read_bytes()
        require_small_memo(data)
        content = _TensorUnpickler(io.BytesIO(data)).load()
        return _as_bank(content, header)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise StyleBankError(
            f"'{path}' cannot be read as a style bank of the official release "
            f"({type(error).__name__}: {error}); expected the saved_params.pkl that its mining "
            "writes. Load banks of langdg_d2 with StyleBank.load"
        ) from error


def write_official_bank(path: str | Path, bank: StyleBank) -> None:
    """Write a bank for the official training code, without prompts and cosines."""
    if found := bank.header.differences(_OFFICIAL, other="the official code"):
        raise StyleBankError(
            f"the official code cannot use the style bank: {'; '.join(found)}. Mine one with "
            "configs/langdg_gta5.py"
        )
    content = {
        key + end: [row.clone().view(-1, 1, 1) for row in table[bank.class_id == k].cpu()]
        for end, table in ((_MEAN, bank.mean), (_STD, bank.std))
        for key, k in _keys(bank.header).items()
    }
    write_atomically(Path(path), pickle.dumps(content))


def _keys(header: BankHeader) -> dict[str, int]:
    """Return class ids by official name."""
    return {str(k) if name == IGNORE else name: k for name, k in header.labels.items()}


def _as_bank(content: Mapping[str, Any], header: BankHeader) -> StyleBank:
    keys = _keys(header)
    known = {key + end for key in keys for end in (_MEAN, _STD)}
    if unknown := sorted(map(str, set(content) - known)):
        raise StyleBankError(f"unknown entries {unknown}, expected {sorted(known)}")
    mean: list[Tensor] = []
    std: list[Tensor] = []
    class_id: list[int] = []
    for key, k in keys.items():
        means = _statistics(content, key + _MEAN, header.channels)
        stds = _statistics(content, key + _STD, header.channels)
        if len(means) != len(stds):
            raise StyleBankError(f"'{key}' has {len(means)} means and {len(stds)} stds")
        mean += means
        std += stds
        class_id += [k] * len(means)
    if not class_id:
        raise StyleBankError("it has no styles")
    bank = StyleBank(
        header=header,
        mean=torch.stack(mean),
        std=torch.stack(std),
        class_id=torch.tensor(class_id, dtype=torch.uint8),
        prompts=("",) * len(class_id),
        cosine_before=torch.full((len(class_id),), torch.nan),
        cosine_after=torch.full((len(class_id),), torch.nan),
    )
    bank.require_finite()
    return bank


def _statistics(content: Mapping[str, Any], key: str, channels: int) -> list[Tensor]:
    """Return the statistics (C,) float32 of an entry; empty if the entry is missing."""
    statistics = []
    for place, tensor in enumerate(content.get(key, [])):
        if not isinstance(tensor, Tensor) or tensor.shape != (channels, 1, 1):
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise StyleBankError(
                f"'{key}' number {place} is {found}, expected a tensor ({channels}, 1, 1)"
            )
        statistics.append(tensor.flatten().float())
    return statistics


def _storage(data: bytes) -> Tensor:
    """Load the storage of a pickled tensor as a flat tensor."""
    try:
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return torch.empty(0, dtype=storage.dtype).set_(storage)
    except Exception as error:  # its message may suggest unsafe loading
        raise StyleBankError(
            "refusing a tensor whose storage is damaged or another object"
        ) from error


def _tensor(
    flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return flat.as_strided(size, stride, offset)


def _parameter(data: Tensor, *_: object) -> Tensor:
    return data


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors and plain containers, and rejects everything else."""

    # Custom functions, because those of torch would load a storage unchecked.
    _ALLOWED: Mapping[tuple[str, str], Callable[..., object]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
    }

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        if (module, name) not in self._ALLOWED:
            raise StyleBankError(
                f"refusing to load '{module}.{name}': only tensors and containers are allowed"
            )
        return self._ALLOWED[module, name]
