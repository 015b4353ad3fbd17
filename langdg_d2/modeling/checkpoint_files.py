"""Weight files, read without executing their content and written atomically.

Training scripts nest state dicts (`state_dict`, `model_ema`), and wrappers add prefixes (`module.`,
`clip.`). Weights are found by matching the parameter names of the model.
"""

import hashlib
import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..utils.errors import LangDGError, shortened
from ..utils.file_io import write_atomically
from ..utils.provenance import leaves
from ..utils.untrusted import damage, is_safetensors, other_kind, require_no_bomb

_DIGITS = 16  # hexadecimal digits of a fingerprint: 64 bits
# BatchNorm's counter, which does not affect outputs and is missing from older files.
_BATCH_COUNTER = "num_batches_tracked"


class CheckpointError(LangDGError):
    """A file is not a checkpoint of the expected kind."""


class _LeftOut:
    """Placeholder for an object that is not a weight and is never created."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


# Types of options and numbers that training scripts save with weights. The official release saves
# its best score as a NumPy scalar, and NumPy 2 renamed the module.
_OBJECTS = (
    *("argparse.Namespace", "numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{m}.multiarray.{n}" for m in ("core", "_core") for n in ("scalar", "_reconstruct")),
    *(f"pathlib{module}.{kind}Path" for module in ("", "._local") for kind in ("Posix", "Windows")),
)
_ALLOWED: list[Any] = [(_LeftOut, name) for name in _OBJECTS]


def read_checkpoint(path: str | Path, *, weights: str = "model") -> dict[str, Any]:
    """Read a checkpoint to the CPU without executing anything in it.

    Args:
        path: file of `torch.save`.
        weights: key of the weights: "model" in checkpoints of langdg_d2 and Detectron2,
            "model_state" in those of the official release.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe, or not such a checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        content = read_content(path)
    except LangDGError as error:
        raise CheckpointError(f"'{path}' cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or weights not in content:
        held = map(repr, content) if isinstance(content, dict) else [type(content).__name__]
        raise CheckpointError(
            f"'{path}' has no entry '{weights}' of weights, only {shortened(held)}; "
            "projects/famix/import_famix.py makes checkpoints of langdg_d2 from official ones"
        )
    found = content[weights]
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise CheckpointError(f"'{path}': '{weights}' is not a dict of tensors by their names")
    return {**content, weights: dict(found)}


def write_weights(path: str | Path, weights: Mapping[str, Tensor], *, entry: str) -> None:
    """Save weights atomically under one key, for `read_checkpoint` and `torch.load`."""
    file = io.BytesIO()
    torch.save({entry: dict(weights)}, file)
    write_atomically(Path(path), file.getvalue())


def read_content(path: Path) -> Any:
    """Read a weight file to the CPU: safetensors, `torch.save`, or a TorchScript file of OpenAI.

    The format is recognised by content, not by suffix. Nothing is executed, except in OpenAI's
    archives, which are identified by checksum. Options and similar objects saved with the weights
    are left out; any other object is refused before it can run.

    Raises:
        LangDGError: if the file is damaged or unsafe.
    """
    if found := other_kind(path):
        raise LangDGError(found)
    try:
        require_no_bomb(path)
        if _is_torchscript(path):
            return _read_archive(path)
        if found := damage(path):
            raise LangDGError(f"it is damaged, {found}")
        if is_safetensors(path):
            return load_file(path)
        with torch.serialization.safe_globals(_ALLOWED), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except (LangDGError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # damaged files raise errors of many types
        # torch's message may recommend loading the file unsafely.
        reason = (
            "it is damaged, was not written by torch.save, or contains objects other than tensors "
            "and plain values"
        )
        with suppress(Exception):  # torch lists them only for the newer of its two formats
            if names := sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)):
                reason = f"it contains {names}, refused: only tensors and plain values are loaded"
        raise LangDGError(
            f"{reason}. Save the weights alone: torch.save(model.state_dict(), FILE)"
        ) from error


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, which contains code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("constants.pkl") for entry in archive.namelist())


def _read_archive(path: Path) -> dict[str, Tensor]:
    """Read weights from a TorchScript archive of OpenAI; others could run code."""
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if checksum not in _openai_checksums():
        raise LangDGError(
            "it is a TorchScript archive, which can run code when it is opened, and its SHA-256 "
            f"{checksum[:12]}... is not that of an archive of OpenAI"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format
        archive = torch.jit.load(path, map_location="cpu")
    return dict(archive.state_dict())


def _openai_checksums() -> set[str]:
    """Return the SHA-256 of OpenAI's archives, which their URLs contain."""
    names = open_clip.list_pretrained_models_by_tag("openai")
    return {open_clip.get_pretrained_url(name, "openai").split("/")[-2] for name in names}


def find_weights(content: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find a model's weights in the content of a file.

    The prefix (including keys of nested dicts) that matches most names of the model is used.
    Several complete matches are an error.

    Args:
        content: nested dicts of tensors and other values.
        state: state dict of the model.

    Returns:
        Tensors by name without the prefix; empty if no name matches.
    """
    tensors = {name: value for name, value in leaves(content) if isinstance(value, Tensor)}
    names = _counted(state)
    places = _prefixes(tensors, names)
    complete = [place for place, count in places.items() if count == len(names)]
    if len(complete) > 1:
        raise LangDGError(
            f"the file holds {len(complete)} complete sets of weights, under "
            f"{shortened(map(repr, complete))}: keep one"
        )
    return {
        name.removeprefix(place): value
        for place, _ in places.most_common(1)
        for name, value in tensors.items()
        if name.startswith(place)
    }


def misfits(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Describe each weight that is missing, unknown, or of another shape.

    Unknown weights count only if the model has their top-level module, such as additional blocks of
    a deeper network.

    Args:
        weights: weights to load.
        state: state dict of the model.
    """
    if weights.keys().isdisjoint(state):
        return ["no weight name matches"]
    faults = []
    for name in _counted(state):
        expected = _describe(state[name])
        if name not in weights:
            faults.append(f"{name} is missing")
        elif (found := _describe(weights[name])) != expected:
            faults.append(f"{name} is {found} instead of {expected}")
    parts = {name.partition(".")[0] for name in state}
    unknown = (name for name in weights if name not in state and name.partition(".")[0] in parts)
    return [*faults, *(f"{name} is unknown" for name in unknown)]


def without_prefix(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Strip the prefix that wrappers add, under which most of `names` are found."""
    prefix = max((counts := _prefixes(weights, names)), key=counts.__getitem__, default="")
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """Hash the names, shapes, dtypes and values of weights, except for BatchNorm's counters.

    Device, order and memory layout do not matter. Style banks identify their CLIP by this hash.

    Returns:
        The first 16 hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for name in sorted(_counted(state_dict)):
        tensor = state_dict[name].detach().cpu()
        # repr delimits the fields, so that different weights never give the same bytes.
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        # NumPy has no bfloat16, and a scalar cannot be viewed as bytes.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]


def _counted(state: Iterable[str]) -> list[str]:
    """Return the names of all values that affect outputs."""
    return [name for name in state if not name.endswith(_BATCH_COUNTER)]


def _prefixes(weights: Iterable[str], names: Collection[str]) -> Counter[str]:
    """Count the prefixes that precede one of `names` in the names of weights."""
    counts: Counter[str] = Counter()
    for name in weights:
        parts = name.split(".")
        for k in range(len(parts)):
            if ".".join(parts[k:]) in names:
                counts["".join(f"{part}." for part in parts[:k])] += 1
    return counts


def _describe(weight: Tensor) -> str:
    kind = "" if weight.is_floating_point() else "whole numbers of shape "
    return f"{kind}{tuple(weight.shape)}"
