"""Training: optimisation, trainer, hooks, and starting many processes."""

from .launch import launch
from .optimization import parameter_groups, polynomial_lr
from .trainer import build_trainer, distribute, training_hooks

__all__ = [
    "build_trainer",
    "distribute",
    "launch",
    "parameter_groups",
    "polynomial_lr",
    "training_hooks",
]
