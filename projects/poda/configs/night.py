"""Steps 2 and 3 of PØDA for "driving at night"; configs of other targets change the prompt."""

from detectron2.config import LazyCall as L

from langdg_d2.styles import ConstantWeights, PooledBankStyles

from ....configs.langdg_gta5 import styles
from .source_only import dataloader, evaluation, lr_scheduler, model, optimizer, train

# Step 2: mine one style per source image, for a prompt that describes the target.
styles.grid.rows = styles.grid.cols = 1
styles.mining.miner.prompts.style_prompts = ["driving at night"]
styles.mining.miner.prompts.template = "{style}"
styles.mining.miner.prompts.ignore_prompt = None
# The loss is averaged over the batch. These settings make single images equivalent to batches of 16
# with learning rate 1 and weight decay 1e-4.
styles.mining.batches.batch_size = 1
styles.mining.miner.pin.lr = 1 / 16
styles.mining.miner.pin.weight_decay = 16 * 1e-4
styles.mining.checkpoint_period = 160

# Step 3: fine-tune the head, with these styles instead of the images' own.
styles.augmentation.mixer.styles._target_ = PooledBankStyles
styles.augmentation.mixer.weights = L(ConstantWeights)(value=0)
optimizer.lr = 0.01
dataloader.train.total_batch_size = 8
# Crops only, without jitter or flips.
dataloader.train.mapper.augmentations = dataloader.train.mapper.augmentations[:1]
train.init_checkpoint = "output/poda/source_only/model_final.pth"
train.max_iter = 2_000
train.output_dir = "output/poda/night"
