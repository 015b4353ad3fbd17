"""Like `clip_rn50_deeplabv3plus`, with CLIP RN50x16, whose features have more channels."""

from .clip_rn50_deeplabv3plus import model

model.backbone.tower.name = "RN50x16-quickgelu"
model.sem_seg_head.input_shape.res2.channels = 384
model.sem_seg_head.input_shape.res5.channels = 3072
