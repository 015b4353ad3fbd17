"""The recipe's styles: prompts, mining toward text, the bank, and mixing in training."""

from .bank import StyleBank
from .bank_header import BankHeader, StyleBankError
from .mining import StyleMiner, choose_patches
from .mining_run import ensure_bank, load_bank, mine_source
from .mixing import BetaWeights, ConstantWeights, PatchStyleMixer
from .pin import PinSettings, PromptDrivenNormalization
from .prompts import TargetPrompts, load_style_prompts, random_character_prompts
from .sources import BankStyles, NoiseStyles, PooledBankStyles

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
    "StyleBank",
    "StyleBankError",
    "StyleMiner",
    "TargetPrompts",
    "choose_patches",
    "ensure_bank",
    "load_bank",
    "load_style_prompts",
    "mine_source",
    "random_character_prompts",
]
