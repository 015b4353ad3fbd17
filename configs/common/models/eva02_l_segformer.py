"""The image tower of EVA02-CLIP-L with a learned pyramid and the SegFormer head."""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec

from langdg_d2.modeling import DeconvPyramid, SegFormerHead, VitTower, load_image_tower

from .clip_rn50_deeplabv3plus import model

model.backbone = L(VitTower)(
    tower=L(load_image_tower)(name="EVA02-L-14-336", weights="merged2b_s6b_b61k"),
    # Blocks whose tokens become features, from fine to coarse.
    taps=[7, 11, 15, 23],
    pyramid=L(DeconvPyramid)(channels=1024),
    # Train the last four blocks; the pyramid is always trained.
    trainable=["blocks.-4", "blocks.-3", "blocks.-2", "blocks.-1"],
    # Patch size in pixels; null for the pretrained size, 14.
    patch_size=16,
    patch_resampling="timm",
    # Adapter (LoRA, SoMA or Rein) that adds trainable parameters to the frozen blocks.
    adapter=None,
)
model.sem_seg_head = L(SegFormerHead)(
    input_shape=dict(
        res2=L(ShapeSpec)(channels=1024, stride=4),
        res3=L(ShapeSpec)(channels=1024, stride=8),
        res4=L(ShapeSpec)(channels=1024, stride=16),
        res5=L(ShapeSpec)(channels=1024, stride=32),
    ),
    in_features=["res2", "res3", "res4", "res5"],
    num_classes=model.sem_seg_head.num_classes,
    channels=256,
    dropout=0.1,
)
model.criterion.label_smoothing = 0.0
