"""Random style prompts. Row 'random characters + class name': published mean 38.08."""

from detectron2.config import LazyCall as L

from langdg_d2.styles import random_character_prompts

from .....configs.langdg_gta5 import (
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
train.output_dir = "output/famix/random_character_prompts"
