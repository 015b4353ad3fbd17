"""Random style prompts. Row 'random characters + class name': published mean 38.08."""

from detectron2.config import LazyCall as L

from langdg_d2.styles import random_character_prompts

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.style_prompts = L(random_character_prompts)(
    count=20, length=8, seed="${styles.seed}"
)
evaluation.published = "famix_rn50_gta5_random_character_prompts"
train.output_dir = "output/famix/random_character_prompts"
