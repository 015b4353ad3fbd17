"""Single-file models: weights, architecture, classes and preprocessing as safetensors.

Such a file loads without a config and can be shared on the Hugging Face Hub. Its JSON header may be
untrusted: only the parts listed here are built from it, and nothing in the file is executed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import huggingface_hub
import open_clip
import timm
from detectron2.layers import ShapeSpec
from omegaconf import DictConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..modeling import (
    ClipConvNeXt,
    ClipResNet,
    DeconvHead,
    DeconvPyramid,
    DeepLabV3PlusHead,
    LangDGSegmentor,
    LinearHead,
    LoRA,
    PixelCrossEntropy,
    Rein,
    ResizePyramid,
    SegFormerHead,
    SoMA,
    VitTower,
    load_image_tower,
    load_timm_tower,
)
from ..modeling.checkpoint_files import CheckpointError, fingerprint
from ..structures import LabelSpace
from ..utils.amp import PRECISIONS
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from ..utils.provenance import plain_data, versions

PRETRAINED = "model.safetensors"
_ENTRY = "langdg_d2"  # key of the header in the file's metadata
_FORMAT = 1
_PARTS: dict[str, Callable[..., Any]] = {
    part.__name__: part
    for part in (
        *(LangDGSegmentor, PixelCrossEntropy, LabelSpace, ShapeSpec),
        *(ClipResNet, ClipConvNeXt, VitTower, DeconvPyramid, ResizePyramid, LoRA, SoMA, Rein),
        *(DeepLabV3PlusHead, DeconvHead, LinearHead, SegFormerHead),
        *(load_image_tower, load_timm_tower),
    )
}
_LOADERS = (load_image_tower, load_timm_tower)
# Keys of an architecture in a file that cannot refer to other repositories.
_ARCHITECTURE = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}


class Pretrained(NamedTuple):
    """A model loaded from a file.

    Attributes:
        model: model on the CPU in float32, in eval mode.
        header: header of the file, with `model` (its config), `inference` (arguments of
            `build_inference`), `notes`, `versions` and others, see `describe_model`.
    """

    model: LangDGSegmentor
    header: dict[str, Any]


def describe_model(cfg: DictConfig, notes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the header for `save_pretrained` of a model that was built from a config.

    Args:
        cfg: config. Its `model` and `evaluation.inference` are recorded, as is the content of a
            JSON file that describes the tower.
        notes: plain data about the training, for information.

    Raises:
        CheckpointError: if the model has parts from other packages, such as a custom head.
    """
    model = plain_data(cfg.model)
    for target in _targets(model):
        _part(target)
    tower = model["backbone"]["tower"]
    tower["weights"] = architecture = None
    if tower["name"].endswith(".json"):
        architecture = json.loads(Path(tower["name"]).read_text())
        tower["name"] = Path(tower["name"]).name
    return {
        "model": model,
        "architecture": architecture,
        "inference": plain_data(cfg.evaluation.inference),
        "notes": plain_data(notes or {}),
        "versions": versions(),
    }


def save_pretrained(
    path: str | Path,
    *,
    model: LangDGSegmentor,
    header: Mapping[str, Any],
    precision: str = "float32",
) -> None:
    """Write a model to a file from which `load_pretrained` can rebuild it.

    Args:
        path: file to create or replace, usually `model.safetensors` in its own folder.
        model: model with the weights and classes to write.
        header: header from `describe_model`, or from the file that the model was loaded from.
        precision: data type of kernels and matrices; biases and statistics stay in float32.
    """
    dtype = PRECISIONS[precision]
    state = {
        name: (value.to(dtype) if value.is_floating_point() and value.ndim > 1 else value)
        .detach()
        .cpu()
        .contiguous()
        for name, value in model.state_dict().items()
    }
    described = header["model"]
    header = {
        **header,
        "model": {**described, "classes": {**described["classes"], **model.classes.plain()}},
    }
    write_described(path, state, header, entry=_ENTRY)


def load_pretrained(source: str | Path, *, revision: str | None = None) -> Pretrained:
    """Load a model written by `save_pretrained`.

    Args:
        source: the file, a folder with `model.safetensors`, or the id of a repository on the
            Hugging Face Hub with such a file, such as "someone/famix-rn50", which is cached.
        revision: branch, tag or commit of the repository.

    Raises:
        CheckpointError: if there is no such file or repository, or the file is damaged or of
            another kind.
    """
    path = _local_file(source, revision)
    header, state = read_described(
        path,
        entry=_ENTRY,
        otherwise="has weights without a description of their model, or was written by a later "
        "version: load training checkpoints with their config, Predictor.from_config(CONFIG, FILE)",
    )
    model = build_described(path, header)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"'{path}' does not fit its own header: {error}") from error
    return Pretrained(model.eval(), header)


def build_described(
    path: str | Path, header: Mapping[str, Any], *, weights: str | None = None
) -> LangDGSegmentor:
    """Build the model that a header describes.

    Args:
        path: path of the file, for error messages.
        header: see `describe_model`.
        weights: weights of the tower, see `load_image_tower`; None for random ones.
    """
    try:
        return _build(header, weights)
    except (LangDGError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"'{path}' cannot be built from its header: {error}") from error


def write_described(
    path: str | Path, state: Mapping[str, Tensor], header: Mapping[str, Any], *, entry: str
) -> None:
    """Write tensors and a header of plain data, which is a JSON entry of the metadata, atomically.

    Args:
        path: file to create or replace.
        state: tensors by name.
        header: plain data.
        entry: key of the header in the metadata.
    """
    header = {**header, "format": _FORMAT, "weights": fingerprint(state)}
    write_atomically(Path(path), save(dict(state), {entry: json.dumps(header)}))


def read_described(
    path: str | Path, *, entry: str, otherwise: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and tensors written by `write_described`.

    Args:
        path: file to read.
        entry: key of the header in the metadata.
        otherwise: predicate of the error message for files without such a header.

    Raises:
        CheckpointError: if the file is damaged or has no such header.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(entry, "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read as safetensors: {error}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(f"'{path}' {otherwise}")
    if fingerprint(state) != header.get("weights"):
        raise CheckpointError(f"'{path}' is damaged: its weights do not match their fingerprint")
    return header, state


def _build(header: Mapping[str, Any], weights: str | None) -> LangDGSegmentor:
    described = deepcopy(header["model"])
    tower = described["backbone"]["tower"]
    tower["weights"] = weights
    architecture = header["architecture"]
    if [one for one in _targets(described) if _part(one) in _LOADERS] != [tower["_target_"]]:
        raise CheckpointError("it loads a tower other than its backbone's")
    if _part(tower["_target_"]) is load_image_tower:
        _check_architecture(architecture, tower["name"])
    elif architecture:
        raise CheckpointError("it has an architecture for a tower that is defined by its name")
    with TemporaryDirectory() as folder:
        if architecture:
            # A unique name, because others could replace an architecture of open_clip.
            file = Path(folder, "langdg-d2-pretrained.json")
            file.write_text(json.dumps(architecture))
            tower["name"] = str(file)
        model = _construct(described)
    if not isinstance(model, LangDGSegmentor):
        raise CheckpointError(f"the header describes a {type(model).__name__}, not a segmentor")
    return model


def _construct(described: Any) -> Any:
    """Build an object from its description in plain data, using only `_PARTS`."""
    if isinstance(described, list):
        return [_construct(item) for item in described]
    if not isinstance(described, dict):
        return described
    arguments = {key: _construct(item) for key, item in described.items() if key != "_target_"}
    if "_target_" not in described:
        return arguments
    return _part(described["_target_"])(**arguments)


def _part(target: Any) -> Callable[..., Any]:
    package, _, name = str(target).rpartition(".")
    if name not in _PARTS or not package.startswith(("langdg_d2.", "detectron2.layers")):
        raise CheckpointError(
            f"it has the part {target!r}, but model files may only have parts of langdg_d2: if you "
            "trust them, load a checkpoint with its config, Predictor.from_config(CONFIG, FILE)"
        )
    return _PARTS[name]


def _targets(described: Any) -> Iterator[str]:
    """Yield the names of all parts of a described model."""
    if isinstance(described, dict):
        if "_target_" in described:
            yield described["_target_"]
        described = list(described.values())
    for item in described if isinstance(described, list) else ():
        yield from _targets(item)


def _check_architecture(architecture: Mapping[str, Any] | None, name: str) -> None:
    """Reject architectures that download files: other libraries' text towers and repositories.

    Args:
        architecture: architecture in the file; None for the one of open_clip with this name.
        name: name of the tower.
    """
    if not architecture and name not in open_clip.list_models():  # may have a hub's prefix
        raise CheckpointError(f"its tower '{name}' is not an architecture of open_clip")
    own = architecture or open_clip.get_model_config(name)
    keys = {*own["vision_cfg"], *own["text_cfg"]}
    foreign = {key for key in keys if key.startswith("hf_model")}
    if architecture:
        foreign |= {key for key in keys if key.startswith("hf_")} | ({*own} - _ARCHITECTURE)
    vision = own["vision_cfg"]
    image_tower = vision.get("timm_model_name")
    if image_tower is not None and not timm.is_model(image_tower):
        foreign.add(f"timm_model_name {image_tower!r}")
    if vision.get("timm_model_pretrained"):
        foreign.add("timm_model_pretrained")
    if foreign:
        raise CheckpointError(
            f"its architecture has {sorted(foreign)}, which may refer to other files"
        )


def _local_file(source: str | Path, revision: str | None) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / PRETRAINED
    if path.is_file():
        return path
    if len(path.parts) != 2 or path.is_absolute() or Path(path.parts[0]).is_dir():
        raise CheckpointError(f"there is no file '{path}' and no folder with a {PRETRAINED}")
    try:
        return Path(huggingface_hub.hf_hub_download(str(source), PRETRAINED, revision=revision))
    except Exception as error:  # many types, for network, names, licences and disk
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"'{source}' is neither a file, nor a folder with {PRETRAINED}, nor an accessible "
            f"repository on the Hugging Face Hub ({type(error).__name__}: {reason})"
        ) from error
