"""Installs `langdg_d2`; Detectron2 itself is installed beside it, see README.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "langdg_d2" / "__init__.py").read_text())[1]

DEMO = ["gradio>=6.31,<7"]
EXPORT = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.3"]
TEST = [
    *DEMO,
    *EXPORT,
    "pytest>=8",
    "pytest-xdist>=3",
    "playwright>=1.40",
    "nbclient>=0.10",
    "ipykernel>=6.29",
    "hypothesis>=6",
    "scipy>=1.11",
    "scikit-learn>=1.3",
]

setup(
    name="langdg_d2",
    version=VERSION,
    description="Language-guided domain-generalized semantic segmentation on Detectron2 (FAMix)",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # The wheel holds configs and tools as well, for `langdg_d2.get_config` and the commands below.
    packages=[
        *find_packages(include=["langdg_d2", "langdg_d2.*"]),
        *("langdg_d2.configs", "langdg_d2.tools"),
    ],
    package_dir={"langdg_d2.configs": "configs", "langdg_d2.tools": "tools"},
    package_data={
        "langdg_d2": ["py.typed"],
        "langdg_d2.configs": ["**/*.py"],
        "langdg_d2.styles": ["prompt_packs/*.txt"],
        "langdg_d2.evaluation": ["published/*.json"],
        "langdg_d2.visualization": ["page.css", "*.html.j2"],
    },
    entry_points={
        "console_scripts": [
            "langdg-train = langdg_d2.tools:train",
            "langdg-mine = langdg_d2.tools:mine",
            "langdg-demo = langdg_d2.tools:demo",
            "langdg-check = langdg_d2.tools:check",
        ]
    },
    author="The langdg_d2 authors",
    project_urls={"Paper": "https://arxiv.org/abs/2311.17922"},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    install_requires=[
        # torch 2.13.0 has a CPU-only wheel that breaks torchvision, which open_clip imports.
        "torch>=2.6,!=2.13.0",
        "torchvision>=0.21",
        "fvcore>=0.1.5,<0.1.6",
        # The bounds on iopath and omegaconf are Detectron2's.
        "iopath>=0.1.7,<0.1.10",
        "omegaconf>=2.1,<2.4",
        "pyyaml>=5.1",
        "hydra-core>=1.1,<1.4",
        "open_clip_torch>=2.30,<4",
        "timm>=1.0.17,<2",
        "opencv-python>=4.12",
        # FFmpeg, with an H.264 encoder.
        "av>=18,<19",
        "matplotlib>=3.8",
        "pandas>=2.1",
        "jinja2>=3.1",
        "pycocotools>=2.0.2",
        "tensorboard>=2.10",
        "safetensors>=0.4",
        "huggingface_hub>=0.30",
        "filelock>=3.12",
        "tqdm>=4.60",
        "tabulate>=0.9",
        "numpy>=1.24",
        "pillow>=10.1",
        # Says which JPEG files are damaged, which Pillow does not.
        "simplejpeg>=1.8,<2",
    ],
    extras_require={
        "test": TEST,
        # The page in a browser, projects/app.
        "demo": DEMO,
        # Export to ONNX, and running it.
        "export": EXPORT,
        # Experiment trackers, see langdg_d2/engine/writers.py.
        "wandb": ["wandb>=0.17"],
        "mlflow": ["mlflow-skinny>=2.14"],
        # GTA5's split.mat
        "matlab": ["scipy>=1.11"],
        "dev": [*TEST, "ruff>=0.6", "mypy>=1.10"],
    },
)
