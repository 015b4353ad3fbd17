"""Ablations: each function changes one thing in a config of the full recipe.

`configs/ablations` applies them to `configs/gta5_rn50.py`, and the streets experiment applies them
to its own config. Some rows combine several, such as `freeze_nothing` and `no_mixing`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig
from omegaconf import DictConfig

from langdg_d2 import styles
from langdg_d2.evaluation import published_names
from langdg_d2.styles import ConstantWeights, NoiseStyles, PooledBankStyles

RECIPE = Path(__file__).resolve().parent / "configs/gta5_rn50.py"
PARTS = ("dataloader", "evaluation", "lr_scheduler", "model", "optimizer", "styles", "train")


def recipe_with(*changes: Callable[[DictConfig], None]) -> tuple[Any, ...]:
    """Return the parts of the changed config of the full recipe, in alphabetical order.

    The output folder, and the published row if there is one, are named after the changes.
    """
    cfg = LazyConfig.load(str(RECIPE))
    for change in changes:
        change(cfg)
    name = "_".join(change.__name__ for change in changes)
    row = f"famix_rn50_gta5_{name}"
    cfg.evaluation.published = row if row in published_names() else None
    cfg.train.output_dir = f"output/famix/{name}"
    return tuple(cfg[part] for part in PARTS)


def freeze_nothing(cfg: DictConfig) -> None:
    """Train the whole image tower of CLIP."""
    cfg.model.backbone.trainable = [*cfg.model.backbone._target_.stages]


def freeze_less(cfg: DictConfig) -> None:
    """Train all of `layer4`, as with Cityscapes as the source."""
    cfg.model.backbone.trainable = ["layer4"]


def freeze_more(cfg: DictConfig) -> None:
    """Freeze the whole backbone and train only the head."""
    cfg.model.backbone.trainable = []


def no_restyling(cfg: DictConfig) -> None:
    """Train without restyling."""
    cfg.styles.bank = None
    cfg.styles.augmentation = None


def no_mixing(cfg: DictConfig) -> None:
    """Replace the patches' own styles with mined ones."""
    cfg.styles.augmentation.mixer.weights = L(ConstantWeights)(value=0)


def source_styles(cfg: DictConfig) -> None:
    """Mix styles of other source patches, which are mined with 0 steps."""
    cfg.styles.mining.miner.pin.steps = 0


def source_and_mined_styles(cfg: DictConfig) -> None:
    """Use a bank merged from source and mined styles; it cannot be mined in one run."""
    cfg.styles.mine_if_missing = False


def noise_styles(cfg: DictConfig, snr_db: float = 20.0) -> None:
    """Use the patches' own styles with Gaussian noise, without text."""
    cfg.styles.bank = None
    cfg.styles.augmentation.mixer.styles = L(NoiseStyles)(snr_db=snr_db)


def class_agnostic_bank(cfg: DictConfig) -> None:
    """Use mined styles of any class for every patch."""
    cfg.styles.augmentation.mixer.styles._target_ = PooledBankStyles


def whole_image_styles(cfg: DictConfig) -> None:
    """Use one style per image instead of one per patch."""
    cfg.styles.grid.rows = cfg.styles.grid.cols = 1


def class_name_only(cfg: DictConfig) -> None:
    """Use only the class name as the prompt."""
    cfg.styles.mining.miner.prompts.template = "{class_name}"


def style_only(cfg: DictConfig) -> None:
    """Use only the style as the prompt."""
    cfg.styles.mining.miner.prompts.template = "{style}"


def driving_prompts(cfg: DictConfig) -> None:
    """Use style prompts that describe weather and light instead of art."""
    cfg.styles.mining.miner.prompts.style_prompts = "driving_conditions"


def random_character_prompts(cfg: DictConfig) -> None:
    """Use random characters as style prompts."""
    cfg.styles.mining.miner.prompts.style_prompts = L(styles.random_character_prompts)(
        count=20, length=8, seed="${styles.seed}"
    )


def random_characters_only(cfg: DictConfig) -> None:
    """Use only random characters as prompts."""
    random_character_prompts(cfg)
    style_only(cfg)


def restyle_stem(cfg: DictConfig) -> None:
    """Restyle the output of the stem instead of `layer1`."""
    cfg.model.backbone.restyled_layer = "stem"


def restyle_layer2(cfg: DictConfig) -> None:
    """Restyle the output of `layer2` instead of `layer1`."""
    cfg.model.backbone.restyled_layer = "layer2"


def restyle_layer3(cfg: DictConfig) -> None:
    """Restyle the output of `layer3` instead of `layer1`."""
    cfg.model.backbone.restyled_layer = "layer3"
