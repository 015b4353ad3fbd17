"""langdg_d2: language-guided domain-generalized semantic segmentation on Detectron2 (FAMix)."""

import warnings

# Of fvcore and Detectron2 as they are imported: nothing that users could mend.
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

__version__ = "0.1.0"
