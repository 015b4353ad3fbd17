"""Training: optimisation, trainer, hooks, and how a run starts."""

from .checkpoints import StrictCheckpointer, starting_checkpoint
from .config_files import load_config
from .launch import launch
from .memory import memory_format
from .optimization import parameter_groups, polynomial_lr
from .overrides import apply_overrides
from .segmentation_trainer import SegmentationTrainer
from .setup import build_model, reseed, setup
from .style_augmentation import StyleAugmentationHook
from .told_errors import told_errors
from .trainer import distribute, training_hooks

__all__ = [
    "SegmentationTrainer",
    "StrictCheckpointer",
    "StyleAugmentationHook",
    "apply_overrides",
    "build_model",
    "distribute",
    "launch",
    "load_config",
    "memory_format",
    "parameter_groups",
    "polynomial_lr",
    "reseed",
    "setup",
    "starting_checkpoint",
    "told_errors",
    "training_hooks",
]
