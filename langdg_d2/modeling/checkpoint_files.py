"""Checkpoints from elsewhere: read without running what is in them, written whole or not at all."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..structures.archives import damage, require_no_bomb
from ..structures.files import write_atomically


class CheckpointError(ValueError):
    """A file is no checkpoint of the expected kind; the message says what it is instead."""


class _Unneeded:
    """Takes the place of a value that nobody asks for."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


# The official release keeps its best score as a NumPy scalar, which torch would refuse. NumPy
# itself is not called for it. Its modules changed their name with NumPy 2.
_NUMPY_SCALAR = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of langdg_d2, on the CPU. Nothing in the file is executed.

    Raises:
        CheckpointError: no such file, damage, content beyond tensors, containers and plain values
            (which is refused before it can run), or a checkpoint of another kind.
    """
    content = _load(Path(path), ignored=())
    _require_entry(path, content, "model")
    return dict(content)


def read_weights(path: str | Path, *, entry: str) -> dict[str, Tensor]:
    """The weights in a file of `torch.save`, on the CPU. Nothing in the file is executed.

    Args:
        path: of a dict of tensors, containers, plain values and NumPy scalars.
        entry: of that dict, with the weights: `model` in checkpoints of langdg_d2 and Detectron2,
            `model_state` in those of the official release.

    Raises:
        CheckpointError: no such file, damage, content beyond what is said here (which is refused
            before it can run), or no such weights.
    """
    content = _load(Path(path), ignored=_NUMPY_SCALAR)
    _require_entry(path, content, entry)
    weights = content[entry]
    if not isinstance(weights, dict):
        raise CheckpointError(f"'{path}': '{entry}' is a {type(weights).__name__}, expected a dict")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"'{path}': '{entry}' gives a {type(value).__name__} for {name!r}, expected names "
                "with tensors"
            )
    return dict(weights)


def write_weights(path: str | Path, weights: Mapping[str, Tensor], *, entry: str) -> None:
    """Create or replace a file that `read_weights` and `torch.load` read.

    Raises:
        OSError: if it cannot be written; an earlier file is then left as it was.
    """
    path = Path(path)
    file = io.BytesIO()
    torch.save({entry: dict(weights)}, file)
    write_atomically(path, file.getvalue())


def _require_entry(path: str | Path, content: Any, entry: str) -> None:
    if not isinstance(content, dict) or entry not in content:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            f"'{path}' has no entry '{entry}' with the weights, it holds {found}; checkpoints of "
            "langdg_d2 have 'model', those of the official release 'model_state': "
            "tools/import_famix.py makes the one from the other"
        )


def _load(path: Path, *, ignored: Sequence[str]) -> Any:
    """Content of a file; values made by the ignored names are left out."""
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        require_no_bomb(path)
    except ValueError as error:
        raise CheckpointError(f"'{path}' is refused as a checkpoint: {error}") from error
    if found := damage(path):
        raise CheckpointError(f"'{path}' cannot be read as a checkpoint: it is damaged, {found}")
    with torch.serialization.safe_globals([(_Unneeded, name) for name in ignored]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise nearly anything
            # torch's own text may advise to load the file without precaution.
            names = _refused_names(path)
            official = any(name in _NUMPY_SCALAR for name in names)
            remedy = "; bring official files over with tools/import_famix.py" if official else ""
            reason = (
                f"it asks for {names}, refused: no part of tensors and plain values"
                if names
                else "damaged, not written by torch.save, or with more than tensors and plain "
                "values in it"
            )
            raise CheckpointError(
                f"'{path}' cannot be read as a checkpoint: {reason}{remedy}"
            ) from error


def _refused_names(path: Path) -> list[str]:
    """What a file wants called that is not allowed, where that can be told."""
    with suppress(Exception):  # only the newer of torch's two formats tells
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    return []
