"""Polynomial decay of the learning rate per iteration, with a minimum and a warm-up."""

from detectron2.config import LazyCall as L

from langdg_d2.engine import polynomial_lr

# The optimizer is filled in after it has been built.
lr_scheduler = L(polynomial_lr)(
    max_iter="${train.max_iter}",
    power=0.9,
    min_lr=1e-6,
    # Iterations of linear warm-up; 0 for none.
    warmup_iters=0,
)
