"""Models in one file: weights, architecture, classes and preprocessing, as safetensors.

The header is JSON; nothing in the file is executed. Such files are small enough to share, open
without a config, and are what the Hugging Face Hub holds.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import huggingface_hub
from detectron2.config import instantiate
from detectron2.layers import ShapeSpec
from detectron2.utils.registry import locate
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ..modeling import LangDGSegmentor, load_image_tower
from ..modeling.checkpoint_files import CheckpointError, fingerprint
from ..structures import LabelSpace
from ..utils.amp import PRECISIONS
from ..utils.file_io import write_atomically
from ..utils.provenance import plain_data, versions

PRETRAINED = "model.safetensors"
_ENTRY = "langdg_d2"  # of the file's metadata
_FORMAT = 1
# A header names what to build; these are the kinds of things it may name, and where they are from.
_KINDS = (nn.Module, LabelSpace, ShapeSpec)
_ORIGINS = ("langdg_d2.modeling.", "langdg_d2.structures.", "detectron2.layers.")


class Pretrained(NamedTuple):
    """A model from a file.

    Attributes:
        model: on the CPU in float32, in eval mode.
        header: what the file says: `model` (its config), `inference` (arguments of
            `build_inference`), `notes`, `versions` and others, see `describe_model`.
    """

    model: LangDGSegmentor
    header: dict[str, Any]


def describe_model(cfg: DictConfig, notes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Header of `save_pretrained` for a model that was built from a config.

    Args:
        cfg: its `model` and `evaluation.inference` are recorded, and the content of a JSON file
            that describes the tower.
        notes: plain data about the training, for readers.
    """
    model = plain_data(cfg.model)
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
    """Write a model with what is needed to build it again.

    Args:
        path: file to create or replace, usually `model.safetensors` in a folder of its own.
        model: weights and classes.
        header: of `describe_model`, or of the file the model is from.
        precision: of kernels and matrices; biases and statistics stay in float32.
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
        "format": _FORMAT,
        "model": {**described, "classes": {**described["classes"], **model.classes.plain()}},
        "weights": fingerprint(state),
    }
    write_atomically(Path(path), save(state, {_ENTRY: json.dumps(header)}))


def load_pretrained(source: str | Path, *, revision: str | None = None) -> Pretrained:
    """Build the model of a file of `save_pretrained`.

    Args:
        source: the file, a folder with `model.safetensors`, or the id of a repository of the
            Hugging Face Hub that has one, such as "someone/famix-rn50"; it is downloaded once.
        revision: branch, tag or commit of the repository.

    Raises:
        CheckpointError: if there is no such file or repository, or the file is damaged or of
            another kind.
    """
    path = _local_file(source, revision)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_ENTRY, "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read as safetensors: {error}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(
            f"'{path}' has weights without a description of their model, or a later version's: "
            "open checkpoints of training with their config, Predictor.from_config(CONFIG, FILE)"
        )
    if fingerprint(state) != header["weights"]:
        raise CheckpointError(f"'{path}' is damaged: its weights are not those that were written")
    model = _build(header, path)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"'{path}' does not fit its own description: {error}") from error
    return Pretrained(model.eval(), header)


def _build(header: Mapping[str, Any], path: Path) -> LangDGSegmentor:
    described = header["model"]
    for target in _targets(described):
        built = locate(target) if target.startswith(_ORIGINS) else None
        is_kind = isinstance(built, type) and issubclass(built, _KINDS)
        if not is_kind and built is not load_image_tower:
            raise CheckpointError(
                f"'{path}' asks for '{target}', which is not a part of models of langdg_d2: use "
                "its config file with Predictor.from_config, if you trust both"
            )
    cfg = OmegaConf.create(described)
    with TemporaryDirectory() as folder:
        if header["architecture"]:
            file = Path(folder, Path(cfg.backbone.tower.name).name)
            file.write_text(json.dumps(header["architecture"]))
            cfg.backbone.tower.name = str(file)
        return instantiate(cfg)


def _targets(described: Any) -> Iterator[str]:
    """Names of everything that a described model is built from."""
    if isinstance(described, Mapping):
        if "_target_" in described:
            yield str(described["_target_"])
        described = list(described.values())
    for part in described if isinstance(described, list) else ():
        yield from _targets(part)


def _local_file(source: str | Path, revision: str | None) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / PRETRAINED
    if path.is_file():
        return path
    try:
        return Path(huggingface_hub.hf_hub_download(str(source), PRETRAINED, revision=revision))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"'{source}' is neither a file, nor a folder with {PRETRAINED}, nor a repository of "
            f"the Hugging Face Hub that can be reached ({type(error).__name__}: {reason})"
        ) from error
