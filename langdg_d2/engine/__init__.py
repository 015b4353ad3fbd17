"""Training: optimisation, trainer, hooks, and how a run starts."""

from .checkpoints import Beginning, StrictCheckpointer, starting_checkpoint
from .config_files import load_config
from .host import prepare_host
from .launch import argument_parser, launch
from .optimization import parameter_groups, polynomial_lr
from .overrides import apply_overrides
from .randomness import SeededIterations, seed_weights
from .resuming import RunSettings
from .segmentation_trainer import SegmentationTrainer
from .selection import selection_hooks
from .setup import build_model, setup, start_run
from .stopping import StopOnSignal, TrainingStopped
from .style_augmentation import StyleAugmentationHook
from .trainer import distribute, training_hooks

__all__ = [
    "Beginning",
    "RunSettings",
    "SeededIterations",
    "SegmentationTrainer",
    "StopOnSignal",
    "StrictCheckpointer",
    "StyleAugmentationHook",
    "TrainingStopped",
    "apply_overrides",
    "argument_parser",
    "build_model",
    "distribute",
    "launch",
    "load_config",
    "parameter_groups",
    "polynomial_lr",
    "prepare_host",
    "seed_weights",
    "selection_hooks",
    "setup",
    "start_run",
    "starting_checkpoint",
    "training_hooks",
]
