"""The ablations: each function changes one thing in a config of the full recipe.

`configs/ablations` applies them to `configs/gta5_rn50.py`, the streets experiment to its own
config. Some rows of the tables combine several, such as `freeze_nothing` and `no_mixing`.
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
    """The parts of the recipe's config after some changes, in alphabetical order.

    The changes' names name the output folder, and the published row if there is one.
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
    """CLIP's whole image tower trains."""
    cfg.model.backbone.trainable = [*cfg.model.backbone._target_.stages]


def freeze_less(cfg: DictConfig) -> None:
    """All of `layer4` trains, as where Cityscapes is the source."""
    cfg.model.backbone.trainable = ["layer4"]


def freeze_more(cfg: DictConfig) -> None:
    """The whole backbone is frozen; only the head trains."""
    cfg.model.backbone.trainable = []


def no_restyling(cfg: DictConfig) -> None:
    """Features stay as they are."""
    cfg.styles.bank = None
    cfg.styles.augmentation = None


def no_mixing(cfg: DictConfig) -> None:
    """Mined styles replace the patches' own."""
    cfg.styles.augmentation.mixer.weights = L(ConstantWeights)(value=0)


def source_styles(cfg: DictConfig) -> None:
    """Styles of other source patches are mixed in: mined patches keep their statistics."""
    cfg.styles.mining.miner.pin.steps = 0


def source_and_mined_styles(cfg: DictConfig) -> None:
    """A bank with both kinds of styles, merged from two others; mining gives one kind only."""
    cfg.styles.mine_if_missing = False


def noise_styles(cfg: DictConfig, snr_db: float = 20.0) -> None:
    """Styles are the patches' own under Gaussian noise, without any text."""
    cfg.styles.bank = None
    cfg.styles.augmentation.mixer.styles = L(NoiseStyles)(snr_db=snr_db)


def class_agnostic_bank(cfg: DictConfig) -> None:
    """A patch gets a mined style of any class."""
    cfg.styles.augmentation.mixer.styles._target_ = PooledBankStyles


def whole_image_styles(cfg: DictConfig) -> None:
    """One style for the whole image instead of one per patch."""
    cfg.styles.grid.rows = cfg.styles.grid.cols = 1


def class_name_only(cfg: DictConfig) -> None:
    """The class name alone as target text."""
    cfg.styles.mining.miner.prompts.template = "{class_name}"


def style_only(cfg: DictConfig) -> None:
    """The style prompt alone as target text."""
    cfg.styles.mining.miner.prompts.template = "{style}"


def driving_prompts(cfg: DictConfig) -> None:
    """Weather and light instead of art as style prompts."""
    cfg.styles.mining.miner.prompts.style_prompts = "driving_conditions"


def random_character_prompts(cfg: DictConfig) -> None:
    """Random characters as style prompts."""
    cfg.styles.mining.miner.prompts.style_prompts = L(styles.random_character_prompts)(
        count=20, length=8, seed="${styles.seed}"
    )


def random_characters_only(cfg: DictConfig) -> None:
    """Random characters alone as target texts."""
    random_character_prompts(cfg)
    style_only(cfg)


def restyle_stem(cfg: DictConfig) -> None:
    """The stem's output is restyled instead of `layer1`'s."""
    cfg.model.backbone.restyled_layer = "stem"


def restyle_layer2(cfg: DictConfig) -> None:
    """`layer2`'s output is restyled instead of `layer1`'s."""
    cfg.model.backbone.restyled_layer = "layer2"


def restyle_layer3(cfg: DictConfig) -> None:
    """`layer3`'s output is restyled instead of `layer1`'s."""
    cfg.model.backbone.restyled_layer = "layer3"
