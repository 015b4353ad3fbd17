"""Numbers that several configs share; the only home of image statistics."""

from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

# CLIP's statistics are for RGB in 0..1, Detectron2's images are RGB in 0..255.
constants = dict(
    pixel_mean=[255 * mean for mean in OPENAI_DATASET_MEAN],
    pixel_std=[255 * std for std in OPENAI_DATASET_STD],
)
