"""The file formats: how a traced segmentor becomes one, and how such a file is run again."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..utils.errors import LangDGError
from .graph import INPUT, dynamic_shapes

_ENTRY = "metadata.json"  # in the archive of torch.export

Metadata = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExportedSegmentor:
    """An exported file, opened.

    Attributes:
        metadata: see `describe`.
        run: maps images (N, 3, H, W) uint8 RGB on the CPU to what the file gives for them.
    """

    metadata: dict[str, Any]
    run: Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: of its names, with the dot.
        encode: content of a file, of a traced graph and its metadata.
        open: reads a file, for running on the CPU. Open only files that you trust.
        modules: what both need beyond the project's own requirements.
    """

    suffix: str
    encode: Callable[[ExportedProgram, Metadata], bytes]
    open: Callable[[Path], ExportedSegmentor]
    modules: tuple[str, ...] = ()


def require_formats(names: Sequence[str]) -> None:
    """Make sure that formats can be written and read.

    Raises:
        LangDGError: if there is none of a name.
        ImportError: if what a format needs is not installed.
    """
    for name in names:
        if name not in FORMATS:
            raise LangDGError(f"format '{name}', expected one of {', '.join(FORMATS)}")
        missing = [module for module in FORMATS[name].modules if find_spec(module) is None]
        if missing:
            raise ImportError(
                f"format '{name}' needs {', '.join(missing)}: pip install -e \".[export]\""
            )


def _encode_pt2(program: ExportedProgram, metadata: Metadata) -> bytes:
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={_ENTRY: json.dumps(metadata)})
    return content.getvalue()


def _open_pt2(path: Path) -> ExportedSegmentor:
    extra_files = {_ENTRY: ""}
    module = torch.export.load(path, extra_files=extra_files).module()
    return ExportedSegmentor(metadata=json.loads(extra_files[_ENTRY]), run=torch.no_grad()(module))


def _encode_onnx(program: ExportedProgram, metadata: Metadata) -> bytes:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[INPUT],
        output_names=[metadata["output"]["name"]],
        dynamic_shapes=dynamic_shapes(metadata["input"]["smallest_side"]),  # gives axes their names
        verbose=False,
    )
    assert exported is not None  # only the older exporter returns nothing
    model = exported.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # the exporter's notes, with paths of this machine
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model.SerializeToString()


def _open_onnx(path: Path) -> ExportedSegmentor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    stored = session.get_modelmeta().custom_metadata_map
    return ExportedSegmentor(
        metadata={key: json.loads(value) for key, value in stored.items()},
        run=lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0]),
    )


FORMATS = {
    "pt2": Format(suffix=".pt2", encode=_encode_pt2, open=_open_pt2),
    "onnx": Format(
        suffix=".onnx",
        encode=_encode_onnx,
        open=_open_onnx,
        modules=("onnx", "onnxscript", "onnxruntime"),
    ),
}
