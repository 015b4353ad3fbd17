"""The paper's SGD, and AdamW for transformers; heads have ten times the backbone's rate."""

import torch
from detectron2.config import LazyCall as L

from langdg_d2.engine import parameter_groups

optimizer = L(torch.optim.SGD)(
    # The model is filled in after it has been built.
    params=L(parameter_groups)(base_lr="${..lr}", backbone_lr_factor=0.1),
    # Learning rate of the head.
    lr=0.1,
    momentum=0.9,
    # Applies to all trainable parameters, including those of BatchNorm, as in the official code.
    weight_decay=1e-4,
    # One kernel on GPUs, which also unscales "float16" gradients without synchronising.
    fused=torch.cuda.is_available(),
)

# For transformers. Norms and biases decay as well.
adamw = L(torch.optim.AdamW)(
    # `layer_decay` below 1 lowers the learning rate of layers near the image.
    params=L(parameter_groups)(base_lr="${..lr}", backbone_lr_factor=0.1, layer_decay=1.0),
    lr=1e-4,
    weight_decay=0.05,
    fused=torch.cuda.is_available(),
)
