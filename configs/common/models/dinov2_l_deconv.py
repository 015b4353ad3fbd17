"""DINOv2-L with the head of VFMSeg: two deconvolutions of the tokens of four blocks.

Other vision transformers of timm can be set by name. `vit_large_patch16_dinov3.lvd1689m` already
has patches of 16 pixels; users must accept the licence of its weights before downloading them.
"""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from langdg_d2.modeling import DeconvHead, VitTower, load_timm_tower

from .clip_rn50_deeplabv3plus import model

model.backbone = L(VitTower)(
    # `weights` may be the path of a file.
    tower=L(load_timm_tower)(name="vit_large_patch14_dinov2.lvd142m", weights="pretrained"),
    # Blocks whose tokens are concatenated.
    taps=[7, 11, 15, 23],
    pyramid=None,
    # Train the last four blocks.
    trainable=["blocks.-4", "blocks.-3", "blocks.-2", "blocks.-1"],
    # Patch size in pixels; null for the pretrained size, 14.
    patch_size=16,
    patch_resampling="timm",
    # Adapter (LoRA, SoMA or Rein) that adds trainable parameters to the frozen blocks.
    adapter=None,
)
model.sem_seg_head = L(DeconvHead)(
    input_shape=dict(res4=L(ShapeSpec)(channels=4096, stride=16)),
    in_feature="res4",
    num_classes=model.sem_seg_head.num_classes,
    # Input channels of the deconvolutions, each of which halves them.
    channels=1024,
    dropout=0.1,
)
model.criterion.label_smoothing = 0.0
model.pixel_mean = [255 * mean for mean in IMAGENET_DEFAULT_MEAN]
model.pixel_std = [255 * std for std in IMAGENET_DEFAULT_STD]
