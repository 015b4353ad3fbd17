"""PØDA for "driving in fog"."""

from .night import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

styles.mining.miner.prompts.style_prompts = ["driving in fog"]
train.output_dir = "output/poda/fog"
