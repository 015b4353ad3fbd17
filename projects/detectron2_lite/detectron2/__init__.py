"""Stand-in for the part of Detectron2 that semantic segmentation needs, in pure Python.

Same import name and module paths as the real one, which takes its place when installed.
"""

from ._missing import install
from .utils.env import setup_environment

__version__ = "0.6+lite"

install(__name__)
setup_environment()
del install, setup_environment
