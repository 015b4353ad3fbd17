"""What an exported file says about itself, so that it can be used without its config."""

from pathlib import Path
from typing import Any

import torch

import langdg_d2

from ..modeling import LangDGSegmentor
from .graph import INPUT, RESULTS, require_result, smallest_side


def describe(
    model: LangDGSegmentor,
    *,
    result: str,
    config_file: str,
    checkpoint: str,
) -> dict[str, Any]:
    """Classes, preprocessing, result and origin, as data that JSON can hold.

    Args:
        model: what is exported.
        result: one of `RESULTS`.
        config_file: of the model; its name without folders is kept.
        checkpoint: likewise.

    Returns:
        `class_names` and `class_colors` (RGB) in the order of train ids; `input`: name, dtype,
        layout, channel order, range of values and least height and width; `normalization`: what
        the graph itself does to the input; `output`: name, dtype and layout; `config`,
        `checkpoint` and `producer`.

    Raises:
        LangDGError: for another result.
    """
    require_result(result)
    side = smallest_side(model)
    return {
        "class_names": list(model.classes.names),
        "class_colors": [list(color) for color in model.classes.colors],
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "layout": "NCHW",
            "channels": "RGB",
            "range": [0, 255],
            "smallest_side": side,
        },
        "normalization": {
            "in_graph": True,
            "mean": model.normalize.mean.flatten().tolist(),
            "std": model.normalize.std.flatten().tolist(),
        },
        "output": {"name": result, **RESULTS[result]},
        "config": Path(config_file).name,
        "checkpoint": Path(checkpoint).name,
        "producer": f"langdg_d2 {langdg_d2.__version__}, torch {torch.__version__}",
    }
