"""Weather and light instead of art as style prompts."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.style_prompts.pack = "driving_conditions"
train.output_dir = "output/famix/driving_prompts"
