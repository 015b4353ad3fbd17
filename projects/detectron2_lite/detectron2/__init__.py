"""A small stand-in for Detectron2 in pure Python; the real one takes its place when installed."""

from . import _missing

__version__ = "0.6+lite"

_missing.install(__name__)
