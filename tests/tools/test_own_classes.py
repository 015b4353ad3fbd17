"""Classes of one's own, fewer and more than the Cityscapes classes, on all main paths."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import open_clip
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_argument_parser
from PIL import Image

from langdg_d2.export import SegmentorGraph, describe, load_segmentor
from langdg_d2.structures import LabelSpace
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Predictor, read_image

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)
CONFIG = """
from detectron2.config import LazyConfig
from detectron2.data import DatasetCatalog, MetadataCatalog

NAMES = [f"own class {{k}}" for k in range({count})]

def records():
    folder = "{data}"
    return [
        dict(file_name=f"{{folder}}/{{k}}.png", sem_seg_file_name=f"{{folder}}/{{k}}_labels.png")
        for k in range(3)
    ]

for catalog in (DatasetCatalog, MetadataCatalog):
    catalog.pop("own_{count}", None)
DatasetCatalog.register("own_{count}", records)
MetadataCatalog.get("own_{count}").set(stuff_classes=NAMES, ignore_label=255)

base = LazyConfig.load("{root}/configs/langdg_gta5.py")
train, optimizer, lr_scheduler, styles = (
    base[key] for key in ("train", "optimizer", "lr_scheduler", "styles")
)
model, dataloader, evaluation = base.model, base.dataloader, base.evaluation
model.classes.update(names=NAMES, colors=None, ids=[100 + k for k in range({count})])
model.sem_seg_head.num_classes = {count}
dataloader.train.dataset.names = "own_{count}"
dataloader.test = dict(own=dataloader.test.cityscapes)
dataloader.test.own.dataset.names = "own_{count}"
dataloader.evaluators = dict(own=dataloader.evaluators.cityscapes)
dataloader.evaluators.own[0].evaluator.dataset_name = "own_{count}"
dataloader.evaluators.own[1].evaluator.dataset_name = "own_{count}"
dataloader.evaluators.own[2].dataset_name = "own_{count}"
evaluation.update(source=None, domains=["own"], groups={{}}, published=None)
del base
"""


@dataclass(frozen=True)
class Trained:
    """A short run on classes of one's own."""

    count: int
    config: str
    folder: Path
    data: Path
    overrides: list[str]

    @property
    def checkpoint(self) -> str:
        return str(self.folder / "model_final.pth")

    @property
    def names(self) -> list[str]:
        return [f"own class {k}" for k in range(self.count)]


@pytest.fixture(scope="module", params=[5, 25])
def trained(
    request: pytest.FixtureRequest,
    load_tool: Callable[[str], ModuleType],
    tiny_model: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trained]:
    count = request.param
    folder = tmp_path_factory.mktemp(f"own{count}")
    data = folder / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        label = np.repeat(rng.permutation(count), -(-SIZE[1] // count))[: SIZE[1]]
        label = np.broadcast_to(label, SIZE).astype(np.uint8)
        image = np.stack([label * 9, 255 - label, rng.integers(0, 50, SIZE)], axis=-1)
        Image.fromarray(image.astype(np.uint8)).save(data / f"{k}.png")
        Image.fromarray(label).save(data / f"{k}_labels.png")
    config = folder / "own.py"
    config.write_text(CONFIG.format(count=count, data=data, root=ROOT))
    overrides = [
        *tiny_model,
        "model.backbone.tower.weights=null",
        "train.device=cpu",
        f"train.output_dir={folder}",
        "train.max_iter=2",
        "dataloader.train.total_batch_size=2",
        "dataloader.train.num_workers=0",
        "dataloader.crop_size=[32,48]",
        "dataloader.test.own.num_workers=0",
        "styles.mining.batches.batch_size=2",
        "styles.mining.num_workers=0",
        "styles.mining.miner.pin.steps=1",
        "evaluation.predictions=label_ids",
    ]
    arguments = ["--config-file", str(config), "--num-gpus", "0", *overrides]
    with pytest.MonkeyPatch.context() as patch:
        # Not 80 sentences for every prompt: CLIP's text tower is slow on CPUs.
        templates = open_clip.OPENAI_IMAGENET_TEMPLATES[:1]
        patch.setattr(open_clip, "OPENAI_IMAGENET_TEMPLATES", templates)
        load_tool("train_net").main(default_argument_parser().parse_args(arguments))
    yield Trained(count, str(config), folder, data, overrides)
    # Registered by the config; other tests list all that there are.
    MetadataCatalog.pop(f"own_{count}")
    DatasetCatalog.remove(f"own_{count}")


def test_styles_are_mined_and_the_checkpoint_remembers_the_classes(trained: Trained) -> None:
    header = StyleBank.load(trained.folder / "style_bank.safetensors").header
    assert list(header.class_names) == trained.names
    stored = torch.load(trained.checkpoint, weights_only=True)["classes"]
    ids = [100 + k for k in range(trained.count)]
    assert LabelSpace(**stored) == LabelSpace(trained.names, ids=ids)


def test_all_classes_are_scored_named_and_pictured(trained: Trained) -> None:
    table = json.loads((trained.folder / "benchmark.json").read_text())["results"]["own"]["sem_seg"]
    assert [f"IoU-{name}" for name in trained.names] == [k for k in table if k[:3] == "IoU"]
    assert not [metric for metric in table if metric.startswith("mIoU_1")]
    assert trained.names[-1] in (trained.folder / "report.html").read_text()
    colors = json.loads((trained.folder / "details.json").read_text())["own"]["colors"]
    assert tuple(colors[trained.names[-1]]) == LabelSpace(trained.names).colors[-1]


def test_prediction_files_hold_their_own_numbers(trained: Trained) -> None:
    predictor = Predictor.from_config(trained.config, trained.checkpoint, trained.overrides)
    folder = trained.folder / f"predictions/own_{trained.count}"
    for k in range(3):
        written = np.asarray(Image.open(folder / f"{k}.png"))
        assert np.array_equal(written, 100 + predictor(trained.data / f"{k}.png").classes)


@pytest.mark.usefixtures("_no_report")
def test_an_evaluation_repeats_the_scores(
    trained: Trained, load_tool: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    options = ["--config-file", trained.config, "--num-gpus", "0", "--eval-only"]
    changes = [f"train.init_checkpoint={trained.checkpoint}", f"train.output_dir={tmp_path}"]
    args = default_argument_parser().parse_args([*options, *trained.overrides, *changes])
    load_tool("train_net").main(args)
    first, again = (
        json.loads((folder / "benchmark.json").read_text())["results"]
        for folder in (trained.folder, tmp_path)
    )
    assert again == first


def test_the_demo_draws_every_class_in_its_colour(
    trained: Trained, load_tool: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    checkpoint = torch.load(trained.checkpoint, weights_only=True)
    checkpoint["model"]["sem_seg_head.predict.bias"][-1] = 1e6  # the last class everywhere
    torch.save(checkpoint, tmp_path / "last.pth")
    common = ["--config-file", trained.config, "--checkpoint", str(tmp_path / "last.pth")]
    common += ["--input", str(trained.data / "0.png"), "--output", str(tmp_path / "out.png")]
    opts = ["--opts", *trained.overrides]
    assert load_tool("demo").main([*common, "--views", "colors", *opts]) == 0
    picture = read_image(tmp_path / "out.png")
    color = LabelSpace(trained.names).colors[-1]
    assert (picture[: SIZE[0], : SIZE[1]] == color).all()
    with pytest.raises(SystemExit, match="'colorblind' is only for the Cityscapes classes"):
        load_tool("demo").main([*common, "--palette", "colorblind", *opts])


def test_an_export_names_the_classes(trained: Trained) -> None:
    model = load_segmentor(trained.config, trained.checkpoint, trained.overrides)
    metadata = describe(model, result="logits", config_file="c", checkpoint="m")
    assert metadata["class_names"] == trained.names
    assert metadata["class_colors"] == [list(c) for c in LabelSpace(trained.names).colors]
    logits = SegmentorGraph(model=model)(torch.zeros(1, 3, 64, 79, dtype=torch.uint8))
    assert logits.shape == (1, trained.count, 64, 79)


def test_the_heads_size_and_the_classes_must_agree(trained: Trained) -> None:
    changes = [*trained.overrides, f"model.sem_seg_head.num_classes={trained.count + 1}"]
    message = rf"model\.sem_seg_head\.num_classes is {trained.count + 1}, but model\.classes has"
    with pytest.raises(LangDGError, match=message):
        Predictor.from_config(trained.config, trained.checkpoint, changes)


def test_checkpoints_of_other_classes_are_refused(
    trained: Trained, load_tool: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    other = tmp_path / "other.py"
    other.write_text(Path(trained.config).read_text().replace("own class", "other class"))
    options = ["--config-file", str(other), "--num-gpus", "0", "--eval-only"]
    changes = [f"train.init_checkpoint={trained.checkpoint}", f"train.output_dir={tmp_path}"]
    args = default_argument_parser().parse_args([*options, *trained.overrides, *changes])
    with pytest.raises(
        LangDGError, match=rf"has {trained.count} classes \(own class 0, .*other class"
    ):
        load_tool("train_net").main(args)
