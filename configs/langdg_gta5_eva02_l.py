"""GTA5 to real cities, SYNTHIA and bad weather: EVA02-CLIP-L, without restyling."""

from .common.data.sources import street_crops, street_mapper, train_loader
from .common.models.eva02_l_segformer import model
from .common.optim import adamw as optimizer
from .langdg_gta5 import dataloader, evaluation, lr_scheduler, styles, train

dataloader["crop_size"] = [512, 512]
dataloader["train"] = train_loader("gta5_sem_seg_train", street_mapper(street_crops([512, 512])))
dataloader["train"].total_batch_size = 4

# Nothing is mined or restyled.
styles["bank"] = styles["mining"] = styles["augmentation"] = None

# Sliding windows of the training crop size.
evaluation["inference"].update(window=[512, 512], stride=[341, 341])
evaluation["published"] = None
train.precision = "bfloat16"
train.output_dir = "output/langdg_gta5_eva02_l"
