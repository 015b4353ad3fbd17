"""Like `clip_rn50_deeplabv3plus`, with a CLIP ConvNeXt-B trained on LAION."""

from detectron2.config import LazyCall as L

from langdg_d2.modeling import ClipConvNeXt, load_image_tower

from .clip_rn50_deeplabv3plus import model

model.backbone = L(ClipConvNeXt)(
    tower=L(load_image_tower)(
        name="convnext_base_w_320", weights="laion_aesthetic_s13b_b82k_augreg"
    ),
    output_stride=16,
    # Train the last block of the last stage; everything else stays frozen.
    trainable=["stages.3.-1"],
    # Stage whose output is cut into patches and restyled.
    restyled_layer="stages.0",
)
model.sem_seg_head.input_shape.res2.channels = 128
model.sem_seg_head.input_shape.res5.channels = 1024
