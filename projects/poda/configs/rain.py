"""PØDA for "driving under rain"."""

from .night import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

styles.mining.miner.prompts.style_prompts = ["driving under rain"]
train.output_dir = "output/poda/rain"
