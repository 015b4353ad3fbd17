"""SGD of the paper, and AdamW for transformers; heads learn ten times as fast as backbones."""

import torch
from detectron2.config import LazyCall as L

from langdg_d2.engine import parameter_groups

optimizer = L(torch.optim.SGD)(
    # The model is filled in when it has been built.
    params=L(parameter_groups)(base_lr="${..lr}", backbone_lr_factor=0.1),
    # Learning rate of the head.
    lr=0.1,
    momentum=0.9,
    # Applies to every trainable parameter, including those of BatchNorm, as in the official code.
    weight_decay=1e-4,
    # On a GPU in one kernel, which also unscales "float16" gradients without synchronising.
    fused=torch.cuda.is_available(),
)

# For transformers: norms and biases decay as well.
adamw = L(torch.optim.AdamW)(
    # `layer_decay` below 1 lets layers near the image learn slower.
    params=L(parameter_groups)(base_lr="${..lr}", backbone_lr_factor=0.1, layer_decay=1.0),
    lr=1e-4,
    weight_decay=0.05,
    fused=torch.cuda.is_available(),
)
