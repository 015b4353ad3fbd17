"""Table of what trains and what is frozen in a model."""

from collections.abc import Iterable
from typing import cast

from tabulate import tabulate
from torch import nn

from .backbone import ClipResNet
from .backbone.freezing import layer_groups
from .meta_arch import LangDGSegmentor


def training_summary(model: LangDGSegmentor) -> str:
    """One row for each layer group of the backbone, and one for the head, in Markdown.

    Call it in training mode. The BatchNorm column says whether a group normalises with its running
    statistics (`eval`) or with those of the batch (`train`).
    """
    tower = cast("ClipResNet", model.backbone).tower
    groups = layer_groups(tower) | {"sem_seg_head": [model.sem_seg_head]}
    rows = [(name, *_row(modules)) for name, modules in groups.items()]
    headers = ("module", "parameters", "trainable", "BatchNorm")
    return tabulate(rows, headers=headers, tablefmt="pipe", intfmt=",")


def _row(modules: Iterable[nn.Module]) -> tuple[int, int, str]:
    everything = [module for top in modules for module in top.modules()]
    parameters = [p for module in everything for p in module.parameters(recurse=False)]
    norms = [m for m in everything if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    modes = sorted({"train" if norm.training else "eval" for norm in norms})
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return sum(p.numel() for p in parameters), trainable, " and ".join(modes) or "-"
