"""A CLIP small enough for tests, and data sets of a few tiny images in their real formats."""

import gc
import importlib
import importlib.util
import json
import logging
import multiprocessing
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image

from langdg_d2.engine import apply_overrides, launch
from langdg_d2.modeling import LangDGSegmentor, load_image_tower
from langdg_d2.structures import LabelEncoding
from langdg_d2.structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_A,
    SYNTHIA_LABEL_IDS,
    TRAIN_IDS,
)

TINY_CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 2, 3], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}
TINY_VIT_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {
        "timm_model_name": "test_vit",
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": 160,
    },
    "text_cfg": TINY_CLIP["text_cfg"],
}
CONDITIONS = ("fog", "night", "rain", "snow")
# Folder of images, folder of labels and the end of a label's name, as of the first release.
BDD100K_LAYOUT = ("seg/images", "seg/labels", "_train_id.png")
# What takes seconds to import.
IMPORTED_ONCE = ["pytest", "detectron2.engine", "langdg_d2.styles", "langdg_d2.visualization"]

# They run first: one that began last would keep a single core busy at the end.
LONGEST = {
    *("test_command.py", "test_tour.py", "test_train_net.py", "test_mine_styles.py"),
    *("test_export_model.py", "test_clip_training.py", "test_leaf_configs.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, in both folders of tests."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported, which lives on."""
    gc.collect()
    gc.freeze()


def import_file(path: Path) -> ModuleType:
    """A module that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The equations of the paper as slow loops."""
    return import_file(Path(__file__).parent / "reference" / "equations.py")


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """Function that imports a command by name."""
    return lambda name: import_file(Path(__file__).parents[1] / "tools" / f"{name}.py")


@pytest.fixture
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write no page, which takes a third of the time of a short one."""
    monkeypatch.setattr("langdg_d2.visualization.write_report_of_run", lambda _: None)


@pytest.fixture(scope="session")
def in_two_processes() -> Callable[..., None]:
    """Function that calls another in two processes without GPUs, as `launch` does.

    They are forked from a process that has imported everything and done nothing else.
    """
    start = torch.multiprocessing.start_processes

    def start_forked(function: Callable, args: tuple = (), nprocs: int = 1, **how: bool) -> object:
        in_environment = importlib.import_module("forked_processes").in_environment
        args = (dict(os.environ), function, *args)
        return start(in_environment, args, nprocs, **how, start_method="forkserver")

    def call(function: Callable[[Namespace], None], **arguments: object) -> None:
        processes = {"num_gpus": 2, "num_machines": 1, "machine_rank": 0, "dist_url": "auto"}
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(Path(__file__).parent)  # which the processes are given
            patch.setattr(torch.multiprocessing, "start_processes", start_forked)
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            launch(function, Namespace(**(arguments | processes)))

    multiprocessing.set_forkserver_preload(IMPORTED_ONCE)
    return call


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@contextmanager
def loggers_restored() -> Iterator[None]:
    """What is done to the loggers, as `default_setup` does, ends with the context."""
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "langdg_d2")]
    states = [(one.propagate, one.level, list(one.handlers)) for one in loggers]
    yield
    for one, (one.propagate, level, one.handlers) in zip(loggers, states, strict=True):
        one.setLevel(level)


@pytest.fixture(autouse=True)
def _loggers_restored() -> Iterator[None]:
    with loggers_restored():
        yield


@pytest.fixture(scope="module")
def keep_loggers() -> Callable[[], AbstractContextManager[None]]:
    """`loggers_restored`, for fixtures that last longer than a test."""
    return loggers_restored


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the model config of a CLIP ResNet of width 4."""
    path = tmp_path_factory.mktemp("clip") / "tiny-clip-for-tests.json"
    path.write_text(json.dumps(TINY_CLIP))
    return str(path)


@pytest.fixture(scope="session")
def tiny_convnext_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the model config of a CLIP whose image tower is a tiny ConvNeXt."""
    vision = {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"}
    config = TINY_CLIP | {"vision_cfg": {**vision, "timm_model_pretrained": False}}
    path = tmp_path_factory.mktemp("clip") / "tiny-convnext-clip-for-tests.json"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture(scope="session")
def tiny_model(tiny_clip: str) -> list[str]:
    """Overrides that put `tiny_clip` and a narrow head into a config; weights are not named."""
    width = TINY_CLIP["vision_cfg"]["width"]
    return [
        f"model.backbone.tower.name={tiny_clip}",
        f"model.sem_seg_head.input_shape.res2.channels={4 * width}",
        f"model.sem_seg_head.input_shape.res5.channels={32 * width}",
        "model.sem_seg_head.channels=8",
    ]


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Overrides that put a tiny vision transformer into configs, by the configs' names."""
    path = tmp_path_factory.mktemp("clip") / "tiny-vit-clip-for-tests.json"
    path.write_text(json.dumps(TINY_VIT_CLIP))
    head = "model.sem_seg_head"
    return {
        "langdg_gta5_dinov2_l": [
            "model.backbone.tower.name=test_vit",
            "model.backbone.taps=[4,5]",
            f"{head}.input_shape.res4.channels=128",
            f"{head}.channels=8",
        ],
        "langdg_gta5_eva02_l": [
            f"model.backbone.tower.name={path}",
            "model.backbone.taps=[2,3,4,5]",
            "model.backbone.pyramid.channels=64",
            *(f"{head}.input_shape.res{k}.channels=64" for k in (2, 3, 4, 5)),
            f"{head}.channels=8",
        ],
    }


@pytest.fixture(scope="session")
def random_segmentor() -> Callable[[list[str]], LangDGSegmentor]:
    """Function that builds the network of `configs/langdg_gta5.py` with overrides.

    None of its weights and statistics is special.
    """

    def build(overrides: list[str]) -> LangDGSegmentor:
        config = Path(__file__).parents[1] / "configs/langdg_gta5.py"
        cfg = apply_overrides(LazyConfig.load(str(config)), overrides)
        cfg.model.backbone.tower.weights = None
        model = instantiate(cfg.model).eval()
        for tensor in model.state_dict().values():
            if tensor.dim() == 1:
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
        return model

    return build


@pytest.fixture
def tiny_tower(tiny_clip: str) -> torch.nn.Module:
    """Image tower with random weights, no residual branch of which is zero."""
    tower = load_image_tower(name=tiny_clip, weights=None)
    for name, parameter in tower.named_parameters():
        if name.endswith("bn3.weight"):  # open_clip starts them at zero
            torch.nn.init.ones_(parameter)
    return tower


def write_image(path: Path, pixels: np.ndarray, palette: list[int] | None = None) -> None:
    """Save an array in the format of the name's suffix, with a palette if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}))


def palette_of(encoding: LabelEncoding) -> list[int]:
    """Colours of all 256 ids as the flat RGB list of a palette image, black where there is none."""
    return np.maximum(encoding.color_table, 0).ravel().tolist()


def write_16_bit_rgb(path: Path, red: np.ndarray, rng: np.random.Generator) -> None:
    """Save a channel as the red one of a 16-bit PNG; the others hold anything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blue, green = rng.integers(0, 1 << 16, (2, *red.shape))
    cv2.imwrite(str(path), np.stack([blue, green, red], axis=-1).astype(np.uint16))


def random_pair(
    rng: np.random.Generator,
    size: tuple[int, int],
    encoding: LabelEncoding = CITYSCAPES_LABEL_IDS,
) -> tuple[np.ndarray, np.ndarray]:
    """An image and raw label ids in vertical stripes, whose colours tell the class."""
    raw_ids = np.array(sorted(set(encoding.raw_to_train) - {255}), dtype=np.uint8)
    stripes = rng.choice(raw_ids, size=8)
    label = np.broadcast_to(np.repeat(stripes, -(-size[1] // 8))[: size[1]], size)
    red = label * (255 // raw_ids[-1])
    image = np.stack([red, label * 3, rng.integers(0, 50, size)], axis=-1)
    return image.astype(np.uint8), np.ascontiguousarray(label)


def write_synthia(folder: Path, images: int, size: tuple[int, int]) -> None:
    """SYNTHIA-RAND-CITYSCAPES: 16-bit labels, lists for the splits."""
    rng = np.random.default_rng(1)
    names = [f"{k:07d}.png" for k in range(images)]
    for name in names:
        image, label = random_pair(rng, size, SYNTHIA_LABEL_IDS)
        write_image(folder / "RGB" / name, image)
        write_16_bit_rgb(folder / "GT/LABELS" / name, label, rng)
    for split in ("train", "val"):
        (folder / f"{split}.txt").write_text("\n".join(names))


def write_bdd100k(
    folder: Path, images: int, size: tuple[int, int], layout: tuple[str, str, str]
) -> None:
    """BDD100K in one of its layouts, of the kind of `BDD100K_LAYOUT`."""
    rng = np.random.default_rng(2)
    image_folder, label_folder, label_suffix = layout
    for split in ("train", "val"):
        for k in range(images):
            image, label = random_pair(rng, size, TRAIN_IDS)
            label[:3] = 255
            write_image(folder / image_folder / split / f"7d06fefd-f7be05{k:02d}.jpg", image)
            name = f"7d06fefd-f7be05{k:02d}{label_suffix}"
            write_image(folder / label_folder / split / name, label)


def write_mapillary(folder: Path, images: int, size: tuple[int, int]) -> None:
    """Mapillary Vistas v1.2: images of several sizes, palette labels, a class list."""
    rng = np.random.default_rng(3)
    rng.integers(0, 256, (66, 3))  # the images that follow stay what they are
    height, width = size
    sizes = [size, (width, height), (height + 5, width + 13), (height - 1, width - 3)]
    for split in ("training", "validation"):
        for k in range(images):
            image, label = random_pair(rng, sizes[k % len(sizes)], MAPILLARY_A)
            stem = f"_-0Vz{k}Mz0aKyh9oRU4Hp{k:02d}A"
            write_image(folder / split / "images" / f"{stem}.jpg", image)
            label_file = folder / split / "labels" / f"{stem}.png"
            write_image(label_file, label, palette_of(MAPILLARY_A))
    labels = [
        {
            "name": name,
            "readable": name.rpartition("--")[2].title(),
            "color": list(MAPILLARY_A.colors[raw]),
            "instances": False,
            "evaluate": raw < 65,
        }
        for raw, name in MAPILLARY_A.raw_names.items()
    ]
    config = {"labels": labels, "version": 1.2, "mapping": "public"}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session")
def write_datasets() -> Callable[..., Path]:
    """Function that writes all data sets of the paper below a folder, each in its own format."""

    def write(
        root: Path,
        *,
        images: int = 4,
        size: tuple[int, int] = (48, 64),
        bdd100k: tuple[str, str, str] = BDD100K_LAYOUT,
    ) -> Path:
        write_synthia(root / "synthia", images, size)
        write_bdd100k(root / "bdd100k", images, size, bdd100k)
        write_mapillary(root / "mapillary", images, size)
        rng = np.random.default_rng(0)
        palette = palette_of(GTA5_LABEL_IDS)
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
                for number, condition in enumerate(CONDITIONS, 1):
                    stem = f"{condition}/{split}/GOPR1/GOPR1_frame_{k:06d}"
                    own = image + np.array([0, 0, number], np.uint8)  # no image is there twice
                    write_image(root / f"acdc/rgb_anon/{stem}_rgb_anon.png", own)
                    write_image(root / f"acdc/gt/{stem}_gt_labelIds.png", label)
                    train_ids = CITYSCAPES_LABEL_IDS.decode(label)
                    write_image(root / f"acdc/gt/{stem}_gt_labelTrainIds.png", train_ids)
        return root

    return write


@pytest.fixture(scope="session")
def datasets(write_datasets: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the data sets, to be read only."""
    return write_datasets(tmp_path_factory.mktemp("datasets"))
