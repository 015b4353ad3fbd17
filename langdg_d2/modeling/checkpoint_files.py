"""Files of weights: read without executing their content, written atomically.

Training scripts nest state dicts (`state_dict`, `model_ema`), and wrappers add prefixes to names
(`module.`, `clip.`). Neither is listed here: a model's weights are where its names are found.
"""

import hashlib
import io
import warnings
import zipfile
from collections import Counter, OrderedDict
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

_DIGITS = 16  # of fingerprints, hexadecimal: 64 bits
_BATCH_COUNTER = "num_batches_tracked"  # BatchNorm's: no output depends on it, older files lack it


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


def read_checkpoint(path: str | Path, *, weights: str = "model") -> dict[str, Any]:
    """The dict in a checkpoint, on the CPU. Nothing in the file is executed.

    Args:
        path: path of the file.
        weights: key of the weights in the dict: "model" in checkpoints of langdg_d2 and Detectron2,
            "model_state" in those of the official release.

    Raises:
        CheckpointError: if the file is missing or damaged, has objects that `read_content`
            refuses, or is a checkpoint of another kind.
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
            f"'{path}' has no entry '{weights}' with the weights but {shortened(held)}; "
            "projects/famix/import_famix.py makes checkpoints of langdg_d2 from official ones"
        )
    found = content[weights]
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise CheckpointError(f"'{path}': '{weights}' is not a dict of tensors by their names")
    return {**content, weights: dict(found)}


def write_weights(path: str | Path, weights: Mapping[str, Tensor], *, entry: str) -> None:
    """Create or replace a file that `read_checkpoint` and `torch.load` read."""
    file = io.BytesIO()
    torch.save({entry: dict(weights)}, file)
    write_atomically(Path(path), file.getvalue())


def read_content(path: Path) -> Any:
    """Content of a file of weights, on the CPU.

    Nothing in it is executed, except for the TorchScript archives that OpenAI publishes, which are
    known by their checksums.

    Args:
        path: path of a file of `torch.save` or safetensors, with any suffix, or of such an archive.
            Options and other objects that training scripts save with the weights are left out.

    Raises:
        LangDGError: if the file is damaged, or has other objects (refused before they can run).
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
    except Exception as error:  # a damaged file can raise nearly anything
        # torch's own message may advise to load the file without this precaution.
        reason = (
            "it is damaged, was not written by torch.save, or holds other objects than tensors and "
            "plain values"
        )
        with suppress(Exception):  # torch lists them for the newer of its two formats only
            if names := sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)):
                reason = f"it holds {names}, refused: only tensors and plain values are loaded"
        raise LangDGError(
            f"{reason}. Save the weights alone: torch.save(model.state_dict(), FILE)"
        ) from error


def _is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("constants.pkl") for entry in archive.namelist())


def _read_archive(path: Path) -> dict[str, Tensor]:
    """The weights in an archive of OpenAI; of others torch could run code as it opens them."""
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
    """SHA-256 of OpenAI's archives, which their addresses contain."""
    names = open_clip.list_pretrained_models_by_tag("openai")
    return {open_clip.get_pretrained_url(name, "openai").split("/")[-2] for name in names}


def find_weights(content: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model in the content of a file, by the model's names.

    They are the tensors below the entries and after the prefix that most of the model's names
    have; none if no name matches. Complete weights in several places are an error.

    Args:
        content: nested dicts with tensors and any other values.
        state: state dict of the model.
    """
    tensors = {name: value for name, value in leaves(content) if isinstance(value, Tensor)}
    names = _counted(state)
    places = _prefixes(tensors, names)
    complete = [place for place, count in places.items() if count == len(names)]
    if len(complete) > 1:
        raise LangDGError(
            f"{len(complete)} places have all weights ({shortened(map(repr, complete))}): save one "
            "of them alone"
        )
    return {
        name.removeprefix(place): value
        for place, _ in places.most_common(1)
        for name, value in tensors.items()
        if name.startswith(place)
    }


def misfits(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """A line for each weight that is missing, of another shape, or unknown.

    Unknown weights count only in parts of the model, as those of a deeper network are.

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
    """Weights without their names' prefix: the one under which most of `names` are found."""
    prefix = max((counts := _prefixes(weights, names)), key=counts.__getitem__, default="")
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """Hash names, shapes, types and values of weights, without BatchNorm's counters.

    Args:
        state_dict: the weights, on any device and in any order or memory layout; none of the
            three changes the fingerprint.

    Returns:
        16 hexadecimal digits of a SHA-256, by which style banks remember their CLIP.
    """
    digest = hashlib.sha256()
    for name in sorted(_counted(state_dict)):
        tensor = state_dict[name].detach().cpu()
        # repr separates the fields: no two different lists of weights read the same.
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        # NumPy has no bfloat16, and a scalar cannot be viewed as bytes.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]


def _counted(state: Iterable[str]) -> list[str]:
    return [name for name in state if not name.endswith(_BATCH_COUNTER)]


def _prefixes(weights: Iterable[str], names: Collection[str]) -> Counter[str]:
    """Prefixes of known names in the names of weights, and how often each occurs."""
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
