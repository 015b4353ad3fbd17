"""langdg_d2: language-guided domain-generalized semantic segmentation on Detectron2 (FAMix)."""

import warnings

# fvcore and Detectron2 trigger this on import; users cannot act on it.
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

__version__ = "0.1.0"
