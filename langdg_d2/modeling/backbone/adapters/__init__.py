"""Adapters with few trainable parameters for frozen vision transformers."""

from .base import Adapter, merge
from .lora import LoRA
from .rein import Rein
from .soma import SoMA

__all__ = ["Adapter", "LoRA", "Rein", "SoMA", "merge"]
