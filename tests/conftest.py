"""A CLIP small enough for tests, and data sets of a few tiny images in their real formats."""

import importlib.util
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from langdg_d2.modeling import load_image_tower
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.structures.label_maps import CITYSCAPES_LABEL_IDS

TINY_CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 2, 3], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}
CONDITIONS = ("fog", "night", "rain", "snow")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The equations of the paper as slow loops."""
    path = Path(__file__).parent / "reference" / "equations.py"
    spec = importlib.util.spec_from_file_location("reference_equations", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _loggers_restored() -> Iterator[None]:
    """What a test does to the loggers, as `default_setup` does, ends with it."""
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "langdg_d2")]
    states = [(one.propagate, one.level, list(one.handlers)) for one in loggers]
    yield
    for one, (one.propagate, level, one.handlers) in zip(loggers, states, strict=True):
        one.setLevel(level)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the model config of a CLIP ResNet of width 4."""
    path = tmp_path_factory.mktemp("clip") / "tiny-clip-for-tests.json"
    path.write_text(json.dumps(TINY_CLIP))
    return str(path)


@pytest.fixture
def tiny_tower(tiny_clip: str) -> torch.nn.Module:
    """Image tower with random weights, no residual branch of which is zero."""
    tower = load_image_tower(name=tiny_clip, weights=None)
    for name, parameter in tower.named_parameters():
        if name.endswith("bn3.weight"):  # open_clip starts them at zero
            torch.nn.init.ones_(parameter)
    return tower


def write_image(path: Path, pixels: np.ndarray, palette: list[int] | None = None) -> None:
    """Save an array as PNG, with a palette if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)


def random_pair(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image and Cityscapes label ids in vertical stripes, whose colours tell the class."""
    raw_ids = np.array(sorted(CITYSCAPES_LABEL_IDS.raw_to_train)[:-1], dtype=np.uint8)
    stripes = rng.choice(raw_ids, size=8)
    label = np.broadcast_to(np.repeat(stripes, -(-size[1] // 8))[: size[1]], size)
    image = np.stack([label * 7, label * 3, rng.integers(0, 50, size)], axis=-1)
    return image.astype(np.uint8), np.ascontiguousarray(label)


@pytest.fixture(scope="session")
def write_datasets() -> Callable[..., Path]:
    """Function that writes GTA5, Cityscapes and ACDC below a folder."""

    def write(root: Path, *, images: int = 4, size: tuple[int, int] = (48, 64)) -> Path:
        rng = np.random.default_rng(0)
        palette = [0] * 21 + [c for color in CITYSCAPES_19.colors for c in color]
        names = [f"{k:05d}.png" for k in range(1, images + 1)]
        for name in names:
            image, label = random_pair(rng, size)
            write_image(root / "gta5/images" / name, image)
            write_image(root / "gta5/labels" / name, label, palette)
        for split in ("train", "val"):
            (root / "gta5" / f"{split}.txt").write_text("\n".join(names))
            for k in range(images):
                image, label = random_pair(rng, size)
                stem = f"{split}/ulm/ulm_{k:06d}_000019"
                write_image(root / f"cityscapes/leftImg8bit/{stem}_leftImg8bit.png", image)
                write_image(root / f"cityscapes/gtFine/{stem}_gtFine_labelIds.png", label)
                for condition in CONDITIONS:
                    stem = f"{condition}/{split}/GOPR1/GOPR1_frame_{k:06d}"
                    write_image(root / f"acdc/rgb_anon/{stem}_rgb_anon.png", image)
                    write_image(root / f"acdc/gt/{stem}_gt_labelIds.png", label)
                    train_ids = CITYSCAPES_LABEL_IDS.decode(label)
                    write_image(root / f"acdc/gt/{stem}_gt_labelTrainIds.png", train_ids)
        return root

    return write


@pytest.fixture(scope="session")
def datasets(write_datasets: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the data sets, to be read only."""
    return write_datasets(tmp_path_factory.mktemp("datasets"))
