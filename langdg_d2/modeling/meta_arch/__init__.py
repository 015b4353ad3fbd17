"""Meta-architectures."""

from .language_guided_segmentor import LangDGSegmentor

__all__ = ["LangDGSegmentor"]
