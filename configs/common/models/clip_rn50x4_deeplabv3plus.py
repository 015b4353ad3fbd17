"""Like `clip_rn50_deeplabv3plus`, with CLIP RN50x4, whose features have more channels."""

from .clip_rn50_deeplabv3plus import model

model.backbone.tower.name = "RN50x4-quickgelu"
model.sem_seg_head.input_shape.res2.channels = 320
model.sem_seg_head.input_shape.res5.channels = 2560
