"""Like `langdg_gta5_eva02_l`, with LoRA in all blocks."""

from detectron2.config import LazyCall as L

from langdg_d2.modeling import LoRA

from .langdg_gta5_eva02_l import (
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
train.output_dir = "output/langdg_gta5_eva02_l_lora"
