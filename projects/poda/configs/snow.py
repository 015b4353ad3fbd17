"""PØDA for "driving in snow"."""

from .night import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

styles.mining.miner.prompts.style_prompts = ["driving in snow"]
train.output_dir = "output/poda/snow"
