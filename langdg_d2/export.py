"""Export of trained models with `torch.export` and to ONNX.

A file is first written under an "unverified" name, loaded and compared with its model. It gets its
final name if their outputs agree.
"""

import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import langdg_d2

from .evaluation import inference_name, require_finite
from .layers import resize_bilinear
from .modeling import LangDGSegmentor
from .utils.errors import LangDGError
from .utils.file_io import write_atomically
from .visualization import Predictor

# Outputs of a graph, for N images and C classes.
RESULTS = {
    "logits": {"dtype": "float32", "layout": "NCHW"},
    "classes": {"dtype": "uint8", "layout": "NHW"},
}
LARGEST_DIFFERENCE = 1e-4  # float32 rounds at 6e-8; hundreds of operations are reordered
_LEAST_AGREEMENT = 0.999  # of classes; rounding decides at boundaries
_INPUT = "images"
# Two images with sides that no stride divides, because a trace treats sizes that are 1 or equal to
# each other as constants.
_EXAMPLE = (2, 3, 70, 101)
_PATCHES = 9  # coarse squares of colour per side of the compared images
_ENTRY = "metadata.json"  # in torch.export archives


def load_segmentor(
    config_file: str | None, checkpoint: str, overrides: Sequence[str] = ()
) -> LangDGSegmentor:
    """Build a model on the CPU, in eval mode, with the weights of a checkpoint.

    Args:
        config_file: LazyConfig file of the run. It is Python code: use only files you trust. None
            for a checkpoint with its description, `model.safetensors`.
        checkpoint: file with the weights; nothing in it is executed.
        overrides: config overrides.
    """
    if config_file is None:
        if overrides:
            raise LangDGError(f"overrides {[*overrides]} need a config: pass --config-file")
        predictor = Predictor.from_pretrained(checkpoint, device="cpu")
    else:
        predictor = Predictor.from_config(config_file, checkpoint, overrides, device="cpu")
    model = predictor.model
    if not isinstance(model, LangDGSegmentor):
        raise LangDGError(
            f"evaluation.inference is '{inference_name(model)}', expected single-scale inference "
            "on whole images, without flips or windows. Pass evaluation.inference."
            "scales=[1.0] evaluation.inference.flip=False evaluation.inference.window=null "
            "evaluation.inference.stride=null"
        )
    return model


class SegmentorGraph(nn.Module):
    """Inference of a segmentor on images of the same size, from tensor to tensor.

    Args:
        model: segmentor, not copied; put into eval mode and torch's default layout, because traces
            of other layouts are limited to some image sizes.
        result: "logits", or "classes" for the train id of the largest logit.
    """

    def __init__(self, *, model: LangDGSegmentor, result: str = "logits") -> None:
        super().__init__()
        if result not in RESULTS:
            raise LangDGError(f"result '{result}', expected one of {', '.join(RESULTS)}")
        self.model = model.eval().to(memory_format=torch.contiguous_format)
        self.result = result

    def forward(self, images: Tensor) -> Tensor:
        """Predict every pixel.

        Args:
            images: (N, 3, H, W) uint8 RGB; normalisation is part of the graph.

        Returns:
            Logits (N, classes, H, W) float32, or classes (N, H, W) uint8.
        """
        height, width = images.shape[-2:]
        images = self.model.normalize(images)
        side = self.model.backbone.size_divisibility
        if side > 1:
            images = F.pad(images, (0, -width % side, 0, -height % side))
        logits = self.model.logits(images)
        if side > 1:  # a slice would limit a trace to sizes that need padding
            for axis, length in ((2, height), (3, width)):
                logits = logits.index_select(axis, torch.arange(length, device=logits.device))
        return logits if self.result == "logits" else logits.argmax(dim=1).to(torch.uint8)


def trace(graph: SegmentorGraph) -> ExportedProgram:
    """Trace a graph with `torch.export`; number, height and width of the images are dynamic.

    Images must be at least `smallest_side` high and wide.
    """
    example = torch.zeros(_EXAMPLE, dtype=torch.uint8, device=graph.model.device)
    shapes = _open_axes(smallest_side(graph.model))
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains local paths, and most of the bytes
    return program


def smallest_side(model: LangDGSegmentor) -> int:
    """Return the minimum image side in pixels, for two rows and columns of the coarsest features.

    A trace would treat a single row or column as a constant.
    """
    return 2 * max(feature.stride for feature in model.backbone.output_shape().values())


def describe(
    model: LangDGSegmentor, *, result: str, config_file: str | None, checkpoint: str
) -> dict[str, Any]:
    """Return the metadata of an exported file, in JSON types.

    Args:
        model: exported model, whose classes are listed in the order of train ids.
        result: one of `RESULTS`.
        config_file: config of the model, recorded without its folder; None for none.
        checkpoint: file of the weights, recorded without its folder.
    """
    return {
        "class_names": list(model.classes.names),
        "class_colors": [list(color) for color in model.classes.colors],
        "input": {
            "name": _INPUT,
            "dtype": "uint8",
            "layout": "NCHW",
            "channels": "RGB",
            "range": [0, 255],
            "smallest_side": smallest_side(model),
        },
        "normalization": {
            "in_graph": True,
            "mean": model.normalize.mean.flatten().tolist(),
            "std": model.normalize.std.flatten().tolist(),
        },
        "output": {"name": result, **RESULTS[result]},
        "config": config_file and Path(config_file).name,
        "checkpoint": Path(checkpoint).name,
        "producer": f"langdg_d2 {langdg_d2.__version__}, torch {torch.__version__}",
    }


def _open_axes(side: int) -> tuple[dict[int, Dim], ...]:
    """Return names and bounds of the dynamic axes, for `torch.export` and `torch.onnx`."""
    return ({0: Dim("batch", min=1), 2: Dim("height", min=side), 3: Dim("width", min=side)},)


@dataclass(frozen=True, kw_only=True)
class ExportedSegmentor:
    """A loaded exported file.

    Attributes:
        metadata: see `describe`.
        run: maps images (N, 3, H, W) uint8 RGB on the CPU to the result.
    """

    metadata: dict[str, Any]
    run: Callable[[Tensor], Tensor]


_Encode = Callable[[ExportedProgram, Mapping[str, Any]], bytes]
_Open = Callable[[Path], ExportedSegmentor]


def _encode_pt2(program: ExportedProgram, metadata: Mapping[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={_ENTRY: json.dumps(metadata)})
    return content.getvalue()


def _open_pt2(path: Path) -> ExportedSegmentor:
    extra_files = {_ENTRY: ""}
    module = torch.export.load(path, extra_files=extra_files).module()
    return ExportedSegmentor(metadata=json.loads(extra_files[_ENTRY]), run=torch.no_grad()(module))


def _encode_onnx(program: ExportedProgram, metadata: Mapping[str, Any]) -> bytes:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[_INPUT],
        output_names=[metadata["output"]["name"]],
        dynamic_shapes=_open_axes(metadata["input"]["smallest_side"]),  # names the axes
        verbose=False,
    )
    assert exported is not None  # only the older exporter returns None
    model = exported.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # the exporter's notes contain local paths
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model.SerializeToString()


def _open_onnx(path: Path) -> ExportedSegmentor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    stored = session.get_modelmeta().custom_metadata_map
    return ExportedSegmentor(
        metadata={key: json.loads(value) for key, value in stored.items()},
        run=lambda images: torch.from_numpy(session.run(None, {_INPUT: images.numpy()})[0]),
    )


# By suffix: function that converts a traced graph and metadata to the content of a file, function
# that loads a (trusted) file on the CPU, and the additional modules that both need.
FORMATS: dict[str, tuple[_Encode, _Open, tuple[str, ...]]] = {
    "pt2": (_encode_pt2, _open_pt2, ()),
    "onnx": (_encode_onnx, _open_onnx, ("onnx", "onnxscript", "onnxruntime")),
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Agreement of a file with its model on images of one size.

    Attributes:
        size: height and width in pixels.
        difference: largest difference of logits, relative to the largest logit's magnitude; None if
            the file returns classes.
        agreement: share of pixels with the same class, in 0..1.
    """

    size: tuple[int, int]
    difference: float | None
    agreement: float

    @property
    def holds(self) -> bool:
        """Whether both values are within bounds; false for NaN."""
        close = self.difference is None or self.difference <= LARGEST_DIFFERENCE
        return close and self.agreement >= _LEAST_AGREEMENT

    def texts(self) -> tuple[str, str, str]:
        """Format size, difference and agreement; only complete agreement is 100 %."""
        height, width = self.size
        return (
            f"{height}x{width}",
            "\N{EN DASH}" if self.difference is None else f"{self.difference:.1e}",
            f"{math.floor(self.agreement * 1e5) / 1e3:.3f} %",
        )


def measure_parity(
    model: LangDGSegmentor, run: Callable[[Tensor], Tensor], *, size: tuple[int, int]
) -> Parity:
    """Compare a file with its model, for one image and for a batch of two.

    Args:
        model: model in eval mode on the CPU.
        run: `run` of the `ExportedSegmentor`.
        size: height and width in pixels of the images, which are seeded random colours.

    Returns:
        The worse of both comparisons.
    """
    images = random_images(2, size)
    logits = torch.stack([model.inference([{"image": image}])[0]["sem_seg"] for image in images])
    require_finite(logits)
    classes = logits.argmax(dim=1)
    differences, agreements = [], []
    for count in (1, 2):
        expected, given = logits[:count], run(images[:count])
        if given.shape == expected.shape and given.is_floating_point():
            differences.append((given - expected).abs().max() / expected.abs().max())
            given = given.argmax(dim=1)
        elif given.shape != classes[:count].shape:
            raise LangDGError(
                f"the file gives {tuple(given.shape)} where the model gives logits "
                f"{tuple(expected.shape)}: it does not take images of every size"
            )
        agreements.append((given == classes[:count]).double().mean().item())
    # Python's `max` ignores a NaN that is not the first.
    worst = torch.stack(differences).max().item() if differences else None
    return Parity(size=size, difference=worst, agreement=min(agreements))


def random_images(count: int, size: tuple[int, int]) -> Tensor:
    """Draw images (count, 3, *size) uint8 of smooth colours with noise, the same in every call."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, _PATCHES, _PATCHES, generator=generator)
    noise = torch.rand(count, 3, *size, generator=generator)
    return ((3 * resize_bilinear(coarse, size) + noise) / 4 * 255).round().to(torch.uint8)


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written, but not yet published file.

    Attributes:
        path: final name.
        unverified: current name.
        segmentor: the loaded file.
        parity: agreement with the model, for each image size.
    """

    path: Path
    unverified: Path
    segmentor: ExportedSegmentor
    parity: tuple[Parity, ...]


def export_segmentor(
    model: LangDGSegmentor,
    path: Path,
    *,
    formats: Sequence[str],
    metadata: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]],
) -> list[Export]:
    """Write a segmentor to files, load them and compare them with it.

    Args:
        model: model on the CPU; put into eval mode.
        path: path of the files without suffix; folders are created.
        formats: keys of `FORMATS`; all use the same trace.
        metadata: result of `describe`, which contains the kind of the result.
        sizes: height and width in pixels of the images to compare on.

    Returns:
        The files in the order of the formats, for `publish`.
    """
    smallest = metadata["input"]["smallest_side"]
    for height, width in sizes:
        if min(height, width) < smallest:
            raise LangDGError(
                f"images of {height}x{width} pixels: an exported file of this model needs at "
                f"least {smallest} pixels per side"
            )
    program = trace(SegmentorGraph(model=model, result=metadata["output"]["name"]))
    exports = []
    for suffix in formats:
        encode, open_file, _ = FORMATS[suffix]
        unverified = path.with_name(f"{path.name}.unverified.{suffix}")
        write_atomically(unverified, encode(program, metadata))
        segmentor = open_file(unverified)
        exports.append(
            Export(
                path=path.with_name(f"{path.name}.{suffix}"),
                unverified=unverified,
                segmentor=segmentor,
                parity=tuple(measure_parity(model, segmentor.run, size=size) for size in sizes),
            )
        )
    return exports


def parity_table(exports: Sequence[Export]) -> str:
    """Format the comparisons of all files as a Markdown table."""
    cells = [(one.path.name, *row.texts()) for one in exports for row in one.parity]
    titles = ("file", "image size", "largest difference of logits", "equal classes")
    return tabulate(cells, titles, tablefmt="pipe", disable_numparse=True)


def publish(exports: Sequence[Export]) -> None:
    """Rename all files to their final names if all agree with the model; otherwise none."""
    for export in exports:
        for row in export.parity:
            if not row.holds:
                raise LangDGError(
                    f"'{export.unverified}' does not predict the same as the model: "
                    f"{', '.join(row.texts())} (size, difference, equal classes), expected at most "
                    f"{LARGEST_DIFFERENCE:g} and at least {_LEAST_AGREEMENT:.1%}. Do not use it; "
                    "try another version of torch, or of onnxscript and onnxruntime"
                )
    for export in exports:
        os.replace(export.unverified, export.path)
