"""Like `langdg_gta5_dinov2_l`, with SoMA (CVPR 2025) and a plain head instead of its mask head."""

from detectron2.config import LazyCall as L

from langdg_d2.engine import CosineWeightDecay, WeightAverage
from langdg_d2.modeling import SoMA

from .langdg_gta5_dinov2_l import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = []
# "released" initialises as the authors' code does, see `SoMA`.
model.backbone.adapter = L(SoMA)(rank=16, blocks=[*range(8, 24)], start="minor")
model.backbone.patch_resampling = "bicubic"
optimizer.params.backbone_lr_factor = 0.5
train.hooks = [
    L(WeightAverage)(decay=0.999, start_iter=12_000),
    L(CosineWeightDecay)(final=1e-5),
]
train.output_dir = "output/langdg_gta5_dinov2_l_soma"
