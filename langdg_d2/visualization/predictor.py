"""Inference with a trained model.

from langdg_d2.visualization import Predictor
predictor = Predictor.from_pretrained("output/langdg_gta5/model.safetensors")
predictor("street.png").save("prediction.png")
"""

import math
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt
import torch
from detectron2.config import instantiate
from detectron2.utils.file_io import PathManager
from omegaconf import OmegaConf
from PIL import Image, ImageOps
from torch import nn

from ..data import read_image, to_rgb
from ..data.image_io import pillow_pixels
from ..engine import RunSettings, StrictCheckpointer, load_config, load_pretrained
from ..evaluation import build_inference, unwrapped
from ..layers import fold
from ..modeling import LangDGSegmentor
from ..structures import LabelSpace
from ..utils import amp
from ..utils.amp import autocast, dtype_of, memory_format_of
from ..utils.arguments import PRECISIONS
from ..utils.errors import LangDGError, shortened
from ..utils.provenance import plain_data
from .palettes import palette_named
from .prediction import Prediction
from .video import Frame

ImageLike = str | os.PathLike[str] | npt.NDArray[Any] | Image.Image

_FAILURES = (LangDGError, RuntimeError, MemoryError)  # RuntimeError: a GPU without memory left


class Predictor:
    """Predicts the classes of images with a model.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`, like `LangDGSegmentor` and its
            inference variants, and has the attribute `classes`. It is put into eval mode and folded
            with its current weights. If these change, other than by `load_state_dict`, build
            another predictor.
        precision: precision of convolutions and matrix products: "float32", "bfloat16", "float16",
            or "auto", half precision on GPUs and float32 on the CPU. Weights keep their dtype.

    Attributes:
        classes: classes of the model, with names and colours.
        least_side: minimum height and width of images in pixels.
    """

    def __init__(self, *, model: nn.Module, precision: str = "auto") -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device
        self.precision = _choose(precision, self.device.type)
        self.least_side = _least_side(model)
        fold(model)
        *_, network = unwrapped(model)
        self.classes = cast("LabelSpace", network.classes)

    @classmethod
    def from_config(
        cls,
        config_file: str,
        checkpoint: str,
        overrides: Sequence[str] = (),
        device: str | None = None,
        precision: str = "auto",
    ) -> "Predictor":
        """Build a trained model from a config and a checkpoint.

        Args:
            config_file: LazyConfig file of the run. It is Python code: use only files you trust.
            checkpoint: file with the weights; nothing in it is executed.
            overrides: config overrides, such as "evaluation.inference.window=[768,768]".
            device: device; None for that of the config, a GPU if available.
            precision: see `Predictor`.
        """
        if not (checkpoint and PathManager.isfile(checkpoint)):
            raise FileNotFoundError(f"checkpoint '{checkpoint}' does not exist")
        cfg = load_config(config_file, overrides)
        if OmegaConf.select(cfg, "model.backbone.tower") is not None:
            cfg.model.backbone.tower.weights = None  # the checkpoint contains them
        memory_format = memory_format_of(cfg.train.memory_format)
        model = instantiate(cfg.model)
        model.to(device=device or cfg.train.device, memory_format=memory_format)
        checkpointer = StrictCheckpointer(model, same_classes=False)
        content = checkpointer.load(checkpoint)
        settings = plain_data(cfg.model)
        del settings["classes"]  # the checkpoint's are used
        RunSettings({"model": settings}).warn_of_other_training(checkpoint, content)
        model.classes = checkpointer.classes or model.classes
        # The precision is chosen here, not by the config.
        inference = build_inference(model, **{**cfg.evaluation.inference, "precision": "float32"})
        return cls(model=inference, precision=precision)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        device: str | None = None,
        precision: str = "auto",
    ) -> "Predictor":
        """Load a model with its description, as training writes it.

        Args:
            source: `model.safetensors`, its folder, or a repository on the Hugging Face Hub; see
                `load_pretrained`.
            revision: branch, tag or commit of the repository.
            device: device; None for a GPU if available.
            precision: see `Predictor`.
        """
        model, header = load_pretrained(source, revision=revision)
        usual = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        )
        model.to(device or usual)
        inference = {**header["inference"], "precision": "float32"}
        return cls(model=build_inference(model, **inference), precision=precision)

    @overload
    def __call__(self, images: ImageLike) -> Prediction: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    def __call__(
        self, images: ImageLike | list[Any] | tuple[Any, ...]
    ) -> Prediction | list[Prediction]:
        """Predict one or several images of any sizes.

        Images of the same size are batched; padding would change predictions. The float32 logits of
        an 8K image take 2.5 GB for 19 classes, and the peak is about three times that, in addition
        to the features of the model, which sliding windows keep small. A prediction takes 12 bytes
        per pixel.

        Args:
            images: file name, array or Pillow image, as in `read_image` and `to_rgb`, or a list or
                tuple of these.

        Returns:
            Prediction of the image, or a list of predictions in the order of the images.
        """
        if isinstance(images, list | tuple):
            return self._predict([_load(image) for image in images])
        return self._predict([_load(images)])[0]

    @torch.no_grad()
    def _predict(self, images: list[npt.NDArray[np.uint8]]) -> list[Prediction]:
        of_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            height, width = image.shape[:2]
            if min(height, width) < self.least_side:
                raise LangDGError(
                    f"image of {width}x{height} pixels (width x height), expected sides of "
                    f"{self.least_side} at least for this model; scale it up first"
                )
            of_size.setdefault(image.shape, []).append(index)
        predictions: dict[int, Prediction] = {}
        for indices in of_size.values():
            inputs = [{"image": torch.from_numpy(images[k]).permute(2, 0, 1)} for k in indices]
            with autocast(self.precision, self.device.type):
                logits = [output["sem_seg"] for output in self.model(inputs)]
            for k in indices:  # frees the logits of each image after use
                predictions[k] = Prediction.from_logits(images[k], logits.pop(0), self.classes)
        return [predictions[k] for k in range(len(images))]


def predict_frames(
    frames: Iterable[Frame],
    predictors: Mapping[str, Predictor],
    *,
    batch_size: int,
    problems: list[str] | None = None,
) -> Iterator[tuple[Frame, dict[str, Prediction]]]:
    """Predict a stream of images with one or several models.

    Args:
        frames: frames, of which one batch is kept in memory.
        predictors: predictors by model name.
        batch_size: images per batch.
        problems: list for messages about images that cannot be predicted; the other images of their
            batch are predicted one by one. If None, such an image is an error.

    Yields:
        Each frame with its predictions by model name.
    """
    rest = iter(frames)
    while batch := list(islice(rest, batch_size)):
        yield from _predict_batch(batch, predictors, problems)


def _predict_batch(
    batch: list[Frame], predictors: Mapping[str, Predictor], problems: list[str] | None
) -> Iterator[tuple[Frame, dict[str, Prediction]]]:
    try:
        images = [frame.image for frame in batch]
        predicted = {title: predictor(images) for title, predictor in predictors.items()}
    except _FAILURES as error:
        if problems is None:
            raise
        if len(batch) == 1:
            problems.append(f"'{batch[0].name}' cannot be predicted: {error}")
            return
    else:
        for k, frame in enumerate(batch):
            yield frame, {title: of_model[k] for title, of_model in predicted.items()}
        return
    # After the `except` block, whose traceback keeps the memory of the failed batch.
    for frame in batch:
        yield from _predict_batch([frame], predictors, problems)


def predictors_of(args: Namespace) -> dict[str, Predictor]:
    """Build predictors by name, from the options of `parse_with_predictors`.

    Names must be distinct, and classes the same, because there is only one legend.
    """
    names = args.names or model_names(args.checkpoint)
    if len(set(names)) < len(names):
        raise LangDGError(f"names {', '.join(names)}: give each checkpoint another name")
    configs = args.config_file or [None]
    configs *= len(names) // len(configs)
    predictors = {
        name: Predictor.from_config(config, checkpoint, args.opts, precision=args.precision)
        if config
        else Predictor.from_pretrained(checkpoint, precision=args.precision)
        for name, config, checkpoint in zip(names, configs, args.checkpoint, strict=True)
    }
    first, *others = names
    classes = predictors[first].classes
    for other in others:
        if predictors[other].classes.names != classes.names:
            lists = (shortened(predictors[name].classes.names) for name in (first, other))
            raise LangDGError(
                f"'{first}' and '{other}' have different classes, {' and '.join(lists)}: show them "
                "one at a time"
            )
    palette_named(args.palette, classes)
    return predictors


def model_names(checkpoints: Sequence[str]) -> list[str]:
    """Return short distinct names of checkpoints: of files, else of folders, else paths."""
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    if len(set(paths)) < len(paths):
        raise LangDGError(f"a checkpoint is given twice: {', '.join(checkpoints)}")
    for names in ([path.stem for path in paths], [path.parent.name for path in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return list(map(str, paths))


def _load(image: ImageLike) -> npt.NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return to_rgb(pillow_pixels(ImageOps.exif_transpose(image)))
    return read_image(image) if isinstance(image, str | os.PathLike) else to_rgb(image)


def _least_side(model: nn.Module) -> int:
    """Return the minimum side of images in pixels; 1 for unknown models."""
    *wrappers, network = unwrapped(model)
    if not isinstance(network, LangDGSegmentor):
        return 1
    scale = min(scale for one in (*wrappers, network) for scale in getattr(one, "scales", (1.0,)))
    stride = max(feature.stride for feature in network.backbone.output_shape().values())
    # Layers that halve the size, except the first, round down, and each must leave a pixel.
    return math.ceil((stride - 1) / scale)


def _choose(precision: str, device_type: str) -> str:
    if precision not in PRECISIONS:
        raise LangDGError(f"precision '{precision}', expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        if device_type == "cpu" or not torch.amp.is_autocast_available(device_type):
            return "float32"
        usual = torch.get_autocast_dtype(device_type)
        return next(name for name, dtype in amp.PRECISIONS.items() if dtype is usual)
    dtype_of(precision, device_type)
    return precision
