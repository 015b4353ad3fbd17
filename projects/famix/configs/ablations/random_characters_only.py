"""Random characters alone as target texts. Row 'random characters': published mean 37.35."""

from .random_character_prompts import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.template = "{style}"
evaluation.published = "famix_rn50_gta5_random_characters_only"
train.output_dir = "output/famix/random_characters_only"
