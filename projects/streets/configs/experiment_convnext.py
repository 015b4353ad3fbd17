"""Like `experiment`, with the small ConvNeXt CLIP."""

from pathlib import Path

from detectron2.config import LazyCall as L

from langdg_d2.modeling import ClipConvNeXt

from .experiment import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

_tower = model.backbone.tower
_tower.name = str(Path(__file__).with_name("small_convnext_clip.json"))
_tower.weights = str(Path(__file__).parents[1] / "weights/small_convnext_clip.safetensors")

model.backbone = L(ClipConvNeXt)(
    tower=_tower, output_stride=16, trainable=["stages.3.-1"], restyled_layer="stages.0"
)
model.sem_seg_head.input_shape.res2.channels = 40
model.sem_seg_head.input_shape.res5.channels = 320
