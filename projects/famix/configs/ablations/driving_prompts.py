"""Weather and light instead of art as style prompts."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.style_prompts = "driving_conditions"
evaluation.published = None
train.output_dir = "output/famix/driving_prompts"
