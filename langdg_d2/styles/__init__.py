"""Styles: prompts, text-driven mining with PIN, the style bank, and mixing during training."""

from .bank import BankHeader, StyleBank, StyleBankError
from .mining import SourceMining, StyleMiner, choose_patches, mining_origin
from .mixing import (
    BankStyles,
    BetaWeights,
    ConstantWeights,
    NoiseStyles,
    PatchStyleMixer,
    PooledBankStyles,
    TargetStyles,
)
from .pin import PinSettings, PromptDrivenNormalization
from .prompts import TargetPrompts, load_style_prompts, random_character_prompts

__all__ = [
    "BankHeader",
    "BankStyles",
    "BetaWeights",
    "ConstantWeights",
    "NoiseStyles",
    "PatchStyleMixer",
    "PinSettings",
    "PooledBankStyles",
    "PromptDrivenNormalization",
    "SourceMining",
    "StyleBank",
    "StyleBankError",
    "StyleMiner",
    "TargetPrompts",
    "TargetStyles",
    "choose_patches",
    "load_style_prompts",
    "mining_origin",
    "random_character_prompts",
]
