"""Like `clip_convnext_b_deeplabv3plus`, with ConvNeXt-L."""

from .clip_convnext_b_deeplabv3plus import model

model.backbone.tower.name = "convnext_large_d_320"
model.backbone.tower.weights = "laion2b_s29b_b131k_ft_soup"
model.sem_seg_head.input_shape.res2.channels = 192
model.sem_seg_head.input_shape.res5.channels = 1536
