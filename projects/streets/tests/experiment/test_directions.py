"""Shifts of styles and looks against a world where they are known."""

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from streets.collection import Settings, generate
from streets.experiment.runs import CONFIG, PROJECT

from langdg_d2.engine import apply_overrides
from langdg_d2.styles import BankHeader, StyleBank

COMMAND = runpy.run_path(str(PROJECT / "style_directions.py"))
Patches, directions, main = (COMMAND[name] for name in ("Patches", "directions", "main"))
CHANNELS = 3
ROAD, SKY, IGNORE = 0, 1, 255
SPREAD = 2.0


def patches(**points: torch.Tensor) -> NamedTuple:
    """Six patches of each class, whose mean is the point given for it."""
    ids = {"road": ROAD, "sky": SKY}
    deviation = SPREAD * torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])[:, None]
    return Patches(
        points=torch.cat([point + deviation for point in points.values()]),
        class_ids=torch.tensor([ids[name] for name in points for _ in deviation]).byte(),
    )


@pytest.fixture
def make_bank() -> Callable[..., StyleBank]:
    """Function that makes a bank of style points (S, 2C) and their classes."""
    header = BankHeader(
        clip_name="tiny",
        clip_fingerprint="0" * 16,
        layer="layer1",
        channels=CHANNELS,
        grid=(3, 3),
        class_names=("road", "sky"),
        ignore_label=IGNORE,
        source="nowhere",
        seed=0,
        settings={},
    )

    def make(points: torch.Tensor, classes: list[int]) -> StyleBank:
        unknown = torch.full((len(points),), torch.nan)
        return StyleBank(
            header=header,
            mean=points[:, :CHANNELS],
            std=points[:, CHANNELS:],
            class_id=torch.tensor(classes).byte(),
            prompts=["foggy road"] * len(points),
            cosine_before=unknown,
            cosine_after=unknown,
        )

    return make


def test_cosines_and_lengths_of_shifts_from_source(make_bank) -> None:
    road, sky = torch.zeros(6), torch.zeros(6)
    along, across = torch.eye(6)[:2]
    source = patches(road=road, sky=sky)
    looks = {"fog": patches(road=road + 3 * along, sky=sky + 4 * across), "dusk": patches(sky=sky)}
    styles = torch.stack([2 * along, -along, along + across, along])
    found, lengths = directions(make_bank(styles, [ROAD, ROAD, ROAD, SKY]), source, looks)

    assert found["fog"].to_list() == pytest.approx([1, -1, math.sqrt(0.5), 0], abs=1e-6)
    assert found["dusk"][:3].isna().all()
    scale = float(source.points[:, 0].std())
    assert (found["length"] * scale).to_list() == pytest.approx([2, 1, math.sqrt(2), 1])
    assert lengths["fog"] * scale == pytest.approx(3.5)


def test_channel_without_variation_in_source_does_not_count(make_bank) -> None:
    points = torch.zeros(6)
    source = patches(road=points, sky=points)
    source.points[:, 5] = 1.0
    fog = patches(road=points + 1)
    style = torch.tensor([[1.0, 1, 1, 1, 1, 7]])
    found, _ = directions(make_bank(style, [ROAD]), source, {"fog": fog})
    assert found["fog"].to_list() == pytest.approx([1])


def test_class_with_few_patches_is_unknown(make_bank) -> None:
    source = patches(road=torch.zeros(6), sky=torch.zeros(6))
    few = Patches(*(values[:4] for values in patches(road=torch.ones(6))))
    found, lengths = directions(make_bank(torch.ones(1, 6), [ROAD]), source, {"fog": few})
    assert found["fog"].isna().all()
    assert math.isnan(lengths["fog"])


def test_command_writes_prompts_by_looks(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, bank = tmp_path / "datasets", tmp_path / "bank.safetensors"
    generate(data, Settings(height=64, width=128, seed=0, train=8, val=3, targets=3))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(data))
    options = [*tiny, "train.device=cpu", f"styles.bank={bank}", "styles.mining.miner.pin.steps=2"]
    cfg = apply_overrides(LazyConfig.load(str(CONFIG)), options)
    instantiate(cfg.styles.mining).run()
    main([str(bank), "--data", str(data), "--output", str(tmp_path / "out"), "--opts", *options])

    lines = (tmp_path / "out/directions.md").read_text().splitlines()
    header, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header[1:] == [
        *("other_city", "fog", "night", "rain", "snow", "dusk", "third_city", "noisy_camera"),
        "length",
    ]
    mined = StyleBank.load(bank)
    named = {prompt.split()[0] for prompt in mined.prompts}
    assert {row[0].split()[0] for row in rows[1:-1]} <= named
    cosines = np.array([[float(cell) for cell in row[1:-1]] for row in rows[1:-1]])
    assert np.nanmax(np.abs(cosines)) <= 1
    known = np.isfinite(cosines)  # a class with few patches is known in none or some of the looks
    assert known.all(axis=1).any()
    assert all(float(cell) > 0 for cell in rows[-1][1:-1])
    assert (tmp_path / "out/directions.png").stat().st_size > 10_000
