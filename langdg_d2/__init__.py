"""langdg_d2: language-guided domain-generalized semantic segmentation on Detectron2 (FAMix)."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# fvcore and Detectron2 trigger this on import; users cannot act on it.
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

__version__ = "0.2.0"


def get_config(name: str, overrides: Sequence[str] = ()) -> Any:
    """Load a config of this package, like Detectron2's `model_zoo.get_config`.

    Args:
        name: file below `configs`, such as "langdg_gta5.py".
        overrides: config overrides such as "train.max_iter=1000".
    """
    from langdg_d2.engine import load_config

    package = Path(__file__).parent
    # In a checkout, the folder is next to the package.
    folders = [folder / "configs" for folder in (package, package.parent)]
    files = [folder / name for folder in folders if (folder / name).is_file()]
    return load_config(str(files[0] if files else folders[-1] / name), overrides)
