"""Variants: ablations of `projects/famix`, other changes, and ways to train a tower."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from detectron2.config import LazyCall as L
from omegaconf import DictConfig

from langdg_d2.engine import parameter_groups
from langdg_d2.modeling import LinearHead, LoRA, Rein, SoMA

sys.path.append(str(Path(__file__).resolve().parents[3] / "famix"))  # projects are not installed

from ablations import (
    freeze_nothing,
    no_mixing,
    no_restyling,
    noise_styles,
    random_character_prompts,
    source_styles,
    whole_image_styles,
)


def full(cfg: DictConfig) -> None:
    """Keep the recipe unchanged."""


def more_styles(cfg: DictConfig) -> None:
    """Mine more styles, because few scenes give few batches with a style per class."""
    cfg.styles.mining.batches.batch_size = 4


def adamw(cfg: DictConfig) -> None:
    """Use AdamW, which learns faster than the paper's SGD and changes CLIP's weights less."""
    params = L(parameter_groups)(base_lr=0.002, backbone_lr_factor=0.1)
    cfg.optimizer = L(torch.optim.AdamW)(lr=0.002, weight_decay=0.01, params=params)


def strong_noise_styles(cfg: DictConfig) -> None:
    """Use noise that shifts statistics as far as mining."""
    noise_styles(cfg, snr_db=5.0)


def art_styles(cfg: DictConfig) -> None:
    """Use style prompts like those of the paper."""
    cfg.styles.mining.miner.prompts.style_prompts = "art_styles"


def freeze_low(cfg: DictConfig) -> None:
    """Freeze only the layers up to the restyled one."""
    stages = [*cfg.model.backbone._target_.stages]
    restyled = stages.index(cfg.model.backbone.restyled_layer)
    cfg.model.backbone.trainable = stages[restyled + 1 :]


def half_restyled(cfg: DictConfig) -> None:
    """Restyle half of the images."""
    cfg.styles.augmentation.probability = 0.5


def oracle(cfg: DictConfig) -> None:
    """Train everything, with AdamW because the paper's SGD would need more iterations."""
    for change in (freeze_nothing, no_restyling, adamw):
        change(cfg)


def frozen(cfg: DictConfig) -> None:
    """Keep the frozen tower and the head of `configs/experiment_vit.py`."""


def linear_head(cfg: DictConfig) -> None:
    """Use a linear classifier of the tokens."""
    head = cfg.model.sem_seg_head
    cfg.model.sem_seg_head = L(LinearHead)(
        input_shape=head.input_shape, in_feature=head.in_feature, num_classes=head.num_classes
    )


def train_tower(cfg: DictConfig) -> None:
    """Train the whole tower, with a lower learning rate than adapters."""
    last = max(cfg.model.backbone.taps)
    cfg.model.backbone.trainable = ["patch_embed", *(f"blocks.{k}" for k in range(last + 1))]
    cfg.optimizer.params.backbone_lr_factor = 0.1


def lora(cfg: DictConfig) -> None:
    cfg.model.backbone.adapter = L(LoRA)(rank=8)


def soma_minor(cfg: DictConfig) -> None:
    """Use the initialisation in the paper."""
    cfg.model.backbone.adapter = L(SoMA)(rank=8, start="minor")


def soma_released(cfg: DictConfig) -> None:
    """Use the initialisation in the authors' code."""
    cfg.model.backbone.adapter = L(SoMA)(rank=8, start="released")


def rein(cfg: DictConfig) -> None:
    cfg.model.backbone.adapter = L(Rein)(tokens=50, rank=8, scale=0.001)


class Variant(NamedTuple):
    """Changes of an experiment's config, with a title for tables."""

    title: str
    changes: tuple[Callable[[DictConfig], None], ...]

    @property
    def name(self) -> str:
        """Name of the variant's folder and on the command line."""
        return "_".join(change.__name__ for change in self.changes)

    @property
    def sees_targets(self) -> bool:
        """Whether the variant is trained on scenes of the scored domains."""
        return oracle in self.changes


# With the colour jitter of the recipe, "freeze" is also "frozen, image augmentation only".
_PARTS = (
    Variant("source-only fine-tuning", (freeze_nothing, no_restyling)),
    Variant("augment", (freeze_nothing, no_mixing)),
    Variant("mix", (freeze_nothing, source_styles)),
    Variant("augment, mix", (freeze_nothing,)),
    Variant("freeze", (no_restyling,)),
    Variant("freeze, augment", (no_mixing,)),
    Variant("freeze, mix", (source_styles,)),
    Variant("freeze, augment, mix", (full,)),
    Variant("the recipe, mined in batches of 4", (more_styles,)),
)
_ADAMW = (
    Variant(f"{title}, AdamW", (*changes, adamw))
    for title, changes in (_PARTS[k] for k in (0, 4, 6, 7, 8))
)
_HALF = (
    Variant("restyle half, AdamW", (half_restyled, adamw)),
    Variant("freeze low layers, AdamW", (freeze_low, no_restyling, adamw)),
    Variant("freeze low layers, restyle half, AdamW", (freeze_low, half_restyled, adamw)),
    Variant(
        "freeze low layers, noise for text in half, AdamW",
        (freeze_low, half_restyled, strong_noise_styles, adamw),
    ),
    Variant(
        "freeze low layers, source styles in half, AdamW",
        (freeze_low, half_restyled, source_styles, adamw),
    ),
    Variant(
        "freeze low layers, art styles in half, AdamW",
        (freeze_low, half_restyled, art_styles, adamw),
    ),
)
_OTHERS = (
    Variant("faint noise for text", (noise_styles,)),
    Variant("noise as strong as text", (strong_noise_styles,)),
    Variant("art styles as prompts", (art_styles,)),
    Variant("random characters for styles", (random_character_prompts,)),
    Variant("whole-image styles", (whole_image_styles,)),
    Variant("oracle: trained on the targets, AdamW", (oracle,)),
)
_TOWERS = (
    Variant("frozen, linear head", (linear_head,)),
    Variant("frozen, deconvolution head", (frozen,)),
    Variant("full fine-tuning", (train_tower,)),
    Variant("LoRA", (lora,)),
    Variant("SoMA, the paper's start", (soma_minor,)),
    Variant("SoMA, the released code's start", (soma_released,)),
    Variant("Rein", (rein,)),
)
RECIPE_VARIANTS = {variant.name: variant for variant in (*_PARTS, *_ADAMW, *_HALF, *_OTHERS)}
TOWER_VARIANTS = {variant.name: variant for variant in _TOWERS}  # of `configs/experiment_vit.py`
VARIANTS = RECIPE_VARIANTS | TOWER_VARIANTS
FULL = full.__name__
