"""As `experiment`, on the small CLIP whose image tower is a vision transformer, frozen.

Nothing is mined or restyled. `streets.experiment.variants.TOWER_VARIANTS` changes the head and what
trains of the tower.
"""

from pathlib import Path

import torch
from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec

from langdg_d2.engine import parameter_groups
from langdg_d2.modeling import DeconvHead, VitTower

from .experiment import dataloader, evaluation, lr_scheduler, model, styles, train

_tower = model.backbone.tower
_tower.name = str(Path(__file__).with_name("small_vit_clip.json"))
_tower.weights = str(Path(__file__).parents[1] / "weights/small_vit_clip.safetensors")

model.backbone = L(VitTower)(
    tower=_tower, taps=[2, 5, 8, 11], trainable=[], patch_resampling="timm", adapter=None
)
model.sem_seg_head = L(DeconvHead)(
    input_shape=dict(res4=L(ShapeSpec)(channels=4 * 192, stride=16)),
    in_feature="res4",
    num_classes=model.sem_seg_head.num_classes,
    channels=128,
    dropout=0.1,
)
optimizer = L(torch.optim.AdamW)(
    params=L(parameter_groups)(base_lr=0.001, backbone_lr_factor=0.5), lr=0.001, weight_decay=0.01
)
styles["bank"] = styles["mining"] = styles["augmentation"] = None
