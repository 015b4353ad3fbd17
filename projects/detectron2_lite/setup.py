"""Installation of the stand-in under the name of the real Detectron2."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
SOURCE = (HERE / "detectron2" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "(.+)"$', SOURCE, re.MULTILINE).group(1)

setup(
    name="detectron2",
    version=VERSION,
    description="A small stand-in for the part of Detectron2 that langdg_d2 uses",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["detectron2", "detectron2.*"]),
    python_requires=">=3.10",
    install_requires=[
        "torch",
        "fvcore",
        "iopath<0.1.10",
        "omegaconf>=2.1,<2.4",
        "hydra-core>=1.1",
        "tensorboard",
        "matplotlib",
        "opencv-python",
        "pycocotools",
        "tabulate",
        "termcolor",
        "Pillow",
        "numpy",
        "pyyaml",
    ],
)
