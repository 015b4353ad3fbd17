"""Table of the trained and the frozen parts of a model."""

from tabulate import tabulate
from torch import nn

from .meta_arch import LangDGSegmentor


def training_summary(model: LangDGSegmentor) -> str:
    """Format a Markdown table with a row per layer group of the backbone and one for the head.

    Call it in training mode. The BatchNorm column says whether a group normalises with its running
    statistics (`eval`) or with those of the batch (`train`).
    """
    groups = {**model.backbone.layer_groups(), "sem_seg_head": [model.sem_seg_head]}
    rows = []
    for name, tops in groups.items():
        modules = [module for top in tops for module in top.modules()]
        parameters = [p for module in modules for p in module.parameters(recurse=False)]
        trainable = [p for p in parameters if p.requires_grad]
        norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        modes = sorted({"train" if norm.training else "eval" for norm in norms})
        counts = [sum(p.numel() for p in each) for each in (parameters, trainable)]
        rows.append((name, *counts, " and ".join(modes) or "-"))
    headers = ("module", "parameters", "trainable", "BatchNorm")
    return tabulate(rows, headers=headers, tablefmt="pipe", intfmt=",")
