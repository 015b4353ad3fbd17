"""CLIP RN50 at output stride 16, frozen except for its last block, with a DeepLabV3+ head."""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from langdg_d2.modeling import (
    ClipResNet,
    DeepLabV3PlusHead,
    LangDGSegmentor,
    PixelCrossEntropy,
    load_image_tower,
)
from langdg_d2.structures import CITYSCAPES_19, LabelSpace

model = L(LangDGSegmentor)(
    backbone=L(ClipResNet)(
        # OpenAI's weights were trained with QuickGELU. `weights` may be the path of a file.
        tower=L(load_image_tower)(name="RN50-quickgelu", weights="openai"),
        output_stride=16,
        # Train the last block of the last layer; everything else stays frozen.
        trainable=["layer4.-1"],
        # Layer whose output is cut into patches and restyled.
        restyled_layer="layer1",
    ),
    sem_seg_head=L(DeepLabV3PlusHead)(
        input_shape=dict(
            res2=L(ShapeSpec)(channels=256, stride=4),
            res5=L(ShapeSpec)(channels=2048, stride="${....backbone.output_stride}"),
        ),
        low_level="res2",
        high_level="res5",
        num_classes=len(CITYSCAPES_19),
        # Channels of the projected low-level features.
        low_level_channels=48,
        # Channels of the pyramid and of the decoder.
        channels=256,
        # Dilations for stride 16; the official code has [12, 24, 36] for stride 8.
        atrous_rates=[6, 12, 18],
        dropout=0.1,
    ),
    criterion=L(PixelCrossEntropy)(ignore_label="${..classes.ignore_label}", label_smoothing=0.1),
    # CLIP's statistics refer to RGB in 0..1, Detectron2's images to RGB in 0..255.
    pixel_mean=[255 * mean for mean in OPENAI_DATASET_MEAN],
    pixel_std=[255 * std for std in OPENAI_DATASET_STD],
    # Names, colours and ids of the classes; `sem_seg_head.num_classes` must be their number. For
    # your own classes, use `model.classes.update(names=[...], colors=None, ids=None)`, which
    # generates colours. `ids` are the values in prediction files of the kind "label_ids". The
    # `LabelEncoding` of the labels must have the same `class_names`.
    classes=L(LabelSpace)(**CITYSCAPES_19.plain()),
)
