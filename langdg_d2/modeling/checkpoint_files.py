"""Checkpoint files: read without executing their content, written atomically."""

import io
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from ..utils.untrusted import damage, is_safetensors, other_kind, require_no_bomb
from .state_dicts import shortened


class CheckpointError(LangDGError):
    """A file is not a checkpoint of the expected kind; the message says what it is instead."""


class _LeftOut:
    """Stands in for an object that is not a weight; the object is not created."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


# What training scripts save with weights: options, paths, dates and numbers. The official release
# saves its best score as a NumPy scalar, and NumPy renamed its modules with version 2.
_OBJECTS = (
    *("argparse.Namespace", "types.SimpleNamespace", "numpy.dtype", "numpy.ndarray", "typing.Any"),
    *(f"numpy.{m}.multiarray.{n}" for m in ("core", "_core") for n in ("scalar", "_reconstruct")),
    *(f"pathlib{module}.{kind}Path" for module in ("", "._local") for kind in ("Posix", "Windows")),
    *(f"datetime.{name}" for name in ("datetime", "date", "timedelta")),
    *(f"builtins.{name}" for name in ("dict", "list", "int", "float", "str", "bool")),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"),
    *("omegaconf.base.Metadata", "omegaconf.base.ContainerMetadata", "collections.defaultdict"),
    *(f"omegaconf.nodes.{k}Node" for k in ("Any", "String", "Integer", "Float", "Boolean", "Path")),
)
_DICTS = (
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "detectron2.config.config.CfgNode"),
    *("easydict.EasyDict", "addict.addict.Dict", "mmengine.config.config.ConfigDict"),
    "pytorch_lightning.utilities.parsing.AttributeDict",
    *(
        f"{package}.utilities.data.AttributeDict"
        for package in ("lightning_fabric", "lightning.fabric")
    ),
)
_ALLOWED: list[Any] = [
    *((_LeftOut, name) for name in _OBJECTS),
    *((OrderedDict, name) for name in _DICTS),
]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of langdg_d2, on the CPU. Nothing in the file is executed.

    Raises:
        CheckpointError: if the file is missing or damaged, has objects that `read_content`
            refuses, or is a checkpoint of another kind.
    """
    content = _read(path)
    return {**content, "model": _weights(path, content, "model")}


def read_weights(path: str | Path, *, entry: str) -> dict[str, Tensor]:
    """The weights in a file of `torch.save`, on the CPU. Nothing in the file is executed.

    Args:
        path: path of a file with a dict.
        entry: key of the weights in the dict: `model` in checkpoints of langdg_d2 and Detectron2,
            `model_state` in those of the official release.

    Raises:
        CheckpointError: if the file is missing or damaged, has objects that `read_content`
            refuses, or has no such weights.
    """
    return _weights(path, _read(path), entry)


def write_weights(path: str | Path, weights: Mapping[str, Tensor], *, entry: str) -> None:
    """Create or replace a file that `read_weights` and `torch.load` read.

    Raises:
        OSError: if the file cannot be written; an earlier file is kept.
    """
    path = Path(path)
    file = io.BytesIO()
    torch.save({entry: dict(weights)}, file)
    write_atomically(path, file.getvalue())


def read_content(path: Path) -> Any:
    """Content of a file of weights, on the CPU. Nothing in the file is executed.

    Args:
        path: path of a file of `torch.save` or safetensors, with any suffix. Options and other
            objects that training scripts save with the weights are left out.

    Raises:
        LangDGError: if the file is damaged, or has other objects (refused before they can run).
    """
    if found := other_kind(path):
        raise LangDGError(found)
    require_no_bomb(path)
    if found := damage(path):
        raise LangDGError(f"it is damaged, {found}")
    if is_safetensors(path):
        try:
            return load_file(path)
        except Exception as error:
            raise LangDGError(f"damaged safetensors: {error}") from error
    with torch.serialization.safe_globals(_ALLOWED), path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise nearly anything
            # torch's own message may advise to load the file without this precaution.
            names = _refused_names(path)
            raise LangDGError(
                f"it asks for {names}, refused: not part of tensors or plain values. Save the "
                "weights alone: torch.save(model.state_dict(), FILE)"
                if names
                else "it is damaged, was not written by torch.save, or holds other objects than "
                "tensors and plain values"
            ) from error


def _read(path: str | Path) -> Any:
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        return read_content(path)
    except LangDGError as error:
        raise CheckpointError(f"'{path}' cannot be read as a checkpoint: {error}") from error


def _weights(path: str | Path, content: Any, entry: str) -> dict[str, Tensor]:
    if not isinstance(content, dict) or entry not in content:
        held = map(repr, content) if isinstance(content, dict) else [type(content).__name__]
        raise CheckpointError(
            f"'{path}' has no entry '{entry}' with the weights: checkpoints of langdg_d2 have "
            "'model', those of the official release 'model_state'; tools/import_famix.py makes the "
            f"one from the other. It holds {shortened(held)}"
        )
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


def _refused_names(path: Path) -> list[str]:
    """Names that a file would call and that are not allowed; none if torch cannot list them."""
    with suppress(Exception):  # torch lists them for the newer of its two formats only
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    return []
