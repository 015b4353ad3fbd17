"""langdg_d2: language-guided domain-generalized semantic segmentation on Detectron2 (FAMix)."""

__version__ = "0.1.0"
