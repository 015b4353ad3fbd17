"""Saving and loading of models and of the state of training."""

from fvcore.common.checkpoint import Checkpointer, PeriodicCheckpointer

from .detection_checkpoint import DetectionCheckpointer

__all__ = ["Checkpointer", "DetectionCheckpointer", "PeriodicCheckpointer"]
