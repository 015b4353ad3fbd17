"""Like `langdg_gta5_dinov2_l`, with LoRA in all blocks, after VFMSeg (AAAI 2025)."""

from detectron2.config import LazyCall as L

from langdg_d2.data import RareClasses
from langdg_d2.modeling import LoRA

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
model.backbone.adapter = L(LoRA)(rank=32)
dataloader["train"].rare_classes = L(RareClasses)(temperature=0.01, min_pixels=3000)
evaluation["inference"].update(stride=[320, 320])
train.output_dir = "output/langdg_gta5_dinov2_l_lora"
