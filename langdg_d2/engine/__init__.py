"""Training: config, optimisation, trainer, hooks, checkpoints and launching."""

from .adapter_files import ADAPTER, load_adapter, save_adapter
from .averaging import WeightAverage
from .checkpoint import StartingPoint, StrictCheckpointer, find_starting_point
from .config import apply_overrides, compose, load_config
from .defaults import build_model, exclusive, require_patches, setup, start_run
from .hooks import BestWeightsHook, SeededIterations, StopOnSignal, StyleAugmentationHook
from .launch import launch
from .optimization import (
    CosineWeightDecay,
    GradientClipping,
    parameter_groups,
    polynomial_lr,
)
from .pretrained import (
    PRETRAINED,
    Pretrained,
    describe_model,
    load_pretrained,
    save_pretrained,
)
from .run_settings import (
    RunSettings,
    training_differences,
    training_facts,
    training_settings,
)
from .trainer import SegmentationTrainer, distribute, training_hooks
from .writers import MlflowWriter, TrackerWriter, WandbWriter

__all__ = [
    "ADAPTER",
    "PRETRAINED",
    "BestWeightsHook",
    "CosineWeightDecay",
    "GradientClipping",
    "MlflowWriter",
    "Pretrained",
    "RunSettings",
    "SeededIterations",
    "SegmentationTrainer",
    "StartingPoint",
    "StopOnSignal",
    "StrictCheckpointer",
    "StyleAugmentationHook",
    "TrackerWriter",
    "WandbWriter",
    "WeightAverage",
    "apply_overrides",
    "build_model",
    "compose",
    "describe_model",
    "distribute",
    "exclusive",
    "find_starting_point",
    "launch",
    "load_adapter",
    "load_config",
    "load_pretrained",
    "parameter_groups",
    "polynomial_lr",
    "require_patches",
    "save_adapter",
    "save_pretrained",
    "setup",
    "start_run",
    "training_differences",
    "training_facts",
    "training_hooks",
    "training_settings",
]
