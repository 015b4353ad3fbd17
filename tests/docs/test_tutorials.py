"""The blocks of the tutorials do what they say, in their order."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import open_clip
import pytest
from PIL import Image

from langdg_d2.utils.arguments import argument_parser

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^```(?P<language>python|sh)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<text>.*?)^```", re.M | re.S
)
TUTORIALS = ["own_data", "own_backbone", "own_head", "own_styles", "own_hook"]
SMALL = [
    "model.backbone.tower.weights=null",
    "train.device=cpu",
    "train.max_iter=1",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=0",
    "dataloader.crop_size=[32,48]",
    "styles.mining.batches.batch_size=2",
    "styles.mining.num_workers=0",
    "styles.mining.miner.pin.steps=1",
]


def write_folder(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Images and labels of ids 0..7 as the tutorial describes them."""
    for k in range(1, count + 1):
        label = np.repeat(rng.permutation(8), 8)[None].repeat(48, 0).astype(np.uint8)
        image = np.stack([label * 30, 255 - label, rng.integers(0, 50, label.shape)], -1)
        for name, pixels in (("images", image.astype(np.uint8)), ("labels", label)):
            suffix = ".jpg" if name == "images" else ".png"
            place = folder / name / ("lyon" if folder.name == "day" else "")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{k:04d}{suffix}")


@pytest.mark.usefixtures("_no_report")
@pytest.mark.parametrize("tutorial", TUTORIALS)
def test_every_block_of_a_tutorial_runs(
    tutorial: str,
    load_tool: Callable[[str], ModuleType],
    tiny_model: list[str],
    datasets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    # One sentence for every prompt, not 80: CLIP's text tower is slow on CPUs.
    monkeypatch.setattr(
        open_clip, "OPENAI_IMAGENET_TEMPLATES", open_clip.OPENAI_IMAGENET_TEMPLATES[:1]
    )
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    rng = np.random.default_rng(0)
    for name in ("day", "night", "rain"):
        write_folder(tmp_path / "datasets" / name, 3, rng)
    small = [*tiny_model, *SMALL]
    if tutorial == "own_head":
        small.remove("model.sem_seg_head.channels=8")
    if tutorial == "own_backbone":  # neither a CLIP nor mining
        small = [x for x in small if not x.startswith(("model.backbone", "styles", "model.sem"))]
        small += ["model.backbone.weights=null", "model.sem_seg_head.channels=8"]
    domains = ["evaluation.domains=[cityscapes]"] if tutorial != "own_data" else []
    blocks = list(BLOCK.finditer((ROOT / f"docs/tutorials/{tutorial}.md").read_text()))
    assert {"python", "sh"} <= {block["language"] for block in blocks}
    for block in blocks:
        if block["file"]:
            Path(block["file"]).write_text(block["text"])
        elif block["language"] == "python":
            exec(block["text"], {})
        else:
            for command in block["text"].strip().splitlines():
                words = [word for word in shlex.split(command) if "PYTHONPATH" not in word]
                assert words[:2] == ["python", "tools/train_net.py"], command
                arguments = [*words[2:-1], "0", *small, *domains]
                load_tool("train_net").main(argument_parser().parse_args(arguments))
    assert list(tmp_path.glob("output/*/benchmark.md"))
    if tutorial == "own_hook":
        assert "'head_norm'" in Path("figures.txt").read_text()
