"""The loss, training that can stop and go on, and the weights it leaves."""

import json
import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from streets.clip.appearances import LOOK_NAMES, WORLD_LOOKS
from streets.clip.batches import BatchSettings
from streets.clip.crops import PoolSettings, draw_pool, open_pool
from streets.clip.model_card import model_card
from streets.clip.training import (
    ClipTrainer,
    TrainSettings,
    clip_normalization,
    contrastive_loss,
    embed_images,
    embed_texts,
    learning_rate,
    load_small_clip,
    update_average,
    write_weights,
)
from streets.clip.zero_shot import rendered_accuracy, zero_shot
from streets.collection import Settings
from streets.domains import VALIDATION_LOOKS
from streets.looks import LOOKS

from langdg_d2.modeling import load_clip
from langdg_d2.modeling.backbone.clip_loading import load_tokenizer
from langdg_d2.utils.errors import LangDGError

CLIP = Path(__file__).parents[1] / "configs/small_clip.json"
LARGEST_WEIGHTS = 15_000_000  # bytes
SETTINGS = TrainSettings(
    steps=4, warmup=1, small_share=0.75, batches=BatchSettings(images=6, looks=2)
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a few small scenes."""
    folder = tmp_path_factory.mktemp("pool")
    draw_pool(folder, PoolSettings(scenes=24, seed=9_300_001, height=64, width=128), workers=1)
    return folder


def _trainer(pool: Path, checkpoint: Path, settings: TrainSettings = SETTINGS) -> ClipTrainer:
    return ClipTrainer(
        clip_name=str(CLIP), pool=pool, settings=settings, checkpoint=checkpoint, workers=0
    )


def test_loss_with_single_captions_equals_clip() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(5, 5, generator=generator)
    target = torch.arange(5)
    clips = 0.5 * (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target))
    assert contrastive_loss(similarity, 2 * torch.eye(5) - 1).item() == pytest.approx(clips.item())


def test_the_loss_is_that_of_a_loop_over_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    similarity = torch.randn(4, 6, generator=generator)
    truth = torch.tensor(
        [
            [1, -1, 1, 0, -1, 1],
            [-1, 1, -1, 0, -1, 1],
            [1, 0, -1, -1, 1, -1],
            [-1, -1, -1, 0, -1, -1],  # no caption is true of the last image
        ]
    )

    def one_way(s: torch.Tensor, t: torch.Tensor) -> float:
        rows = []
        for scores, said in zip(s.tolist(), t.tolist(), strict=True):
            false = sum(math.exp(v) for v, k in zip(scores, said, strict=True) if k < 0)
            each = [
                -math.log(math.exp(v) / (math.exp(v) + false))
                for v, k in zip(scores, said, strict=True)
                if k > 0
            ]
            if each:
                rows.append(sum(each) / len(each))
        return sum(rows) / len(rows)

    expected = 0.5 * (one_way(similarity, truth) + one_way(similarity.T, truth.T))
    assert contrastive_loss(similarity, truth).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_pairs_have_no_gradient() -> None:
    similarity = torch.zeros(3, 3, requires_grad=True)
    truth = torch.tensor([[1, -1, 0], [-1, 1, -1], [0, -1, 1]])
    contrastive_loss(similarity, truth).backward()
    assert similarity.grad is not None
    assert similarity.grad[truth == 0].tolist() == [0, 0]
    assert (similarity.grad[truth != 0] != 0).all()


def test_images_of_the_towers_size_are_embedded_as_by_clip() -> None:
    clip = load_clip(name=str(CLIP), weights=None)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(
            embed_images(clip.visual, images), clip.encode_image(images, normalize=True), atol=1e-6
        )
        assert embed_images(clip.visual, images[..., :64, :64]).shape == (2, 128)


def test_captions_are_embedded_as_by_clip() -> None:
    clip = load_clip(name=str(CLIP), weights=None)
    tokens = load_tokenizer(name=str(CLIP))(["a car", "a photo of a foggy traffic light.", "road"])
    with torch.no_grad():
        expected = clip.encode_text(tokens, normalize=True)
        assert torch.allclose(embed_texts(clip, tokens), expected, atol=1e-6)


def test_normalization_is_that_of_clips_images() -> None:
    white = clip_normalization()(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8))
    assert white.flatten().tolist() == pytest.approx([1.93034, 2.07488, 2.14590], abs=1e-4)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    settings = TrainSettings(steps=100, lr=1.0, warmup=10)
    assert learning_rate(settings, 0) == pytest.approx(0.1)
    assert learning_rate(settings, 10) == pytest.approx(1.0)
    assert learning_rate(settings, 55) == pytest.approx(0.5)
    assert learning_rate(settings, 99) < 0.001


def test_an_average_follows_quickly_at_first_and_slowly_later() -> None:
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for step, kept in ((10, 0.5), (10**6, 0.9)):
        torch.nn.init.zeros_(average.weight)
        torch.nn.init.ones_(model.weight)
        update_average(average, model, decay=0.9, step=step)
        assert average.weight.item() == pytest.approx(1 - kept)


def test_interrupted_training_resumes_exactly(pool: Path, tmp_path: Path) -> None:
    whole = _trainer(pool, tmp_path / "whole.pt")
    whole.train()
    cut = _trainer(pool, tmp_path / "cut.pt")
    original = cut._train_step

    def fails_at_the_third(*batch: torch.Tensor) -> float:
        if cut.step == 2:
            raise KeyboardInterrupt
        return original(*batch)

    cut._train_step = fails_at_the_third
    with pytest.raises(KeyboardInterrupt):
        cut.train(checkpoint_period=2)
    resumed = _trainer(pool, tmp_path / "cut.pt")
    assert resumed.step == 2
    assert resumed.seconds > 0
    resumed.train()
    for name, value in whole.average.state_dict().items():
        assert torch.allclose(value, resumed.average.state_dict()[name], atol=1e-5), name
    with pytest.raises(LangDGError, match="other output folder"):
        _trainer(pool, tmp_path / "cut.pt", replace(SETTINGS, lr=0.5))


def test_steps_on_one_batch_lower_its_loss(pool: Path, tmp_path: Path) -> None:
    trainer = _trainer(pool, tmp_path / "fit.pt", replace(SETTINGS, steps=100, warmup=2))
    trainer.clip.train()
    batch = trainer._batches[0]
    losses = [trainer._train_step(*batch) for _ in range(12)]
    assert losses[-1] < 0.6 * losses[0]


def test_weights_are_small_and_read_as_float32(tmp_path: Path) -> None:
    clip = load_clip(name=str(CLIP), weights=None)
    path = tmp_path / "small_clip.safetensors"
    write_weights(path, clip)
    assert path.stat().st_size <= LARGEST_WEIGHTS
    read = load_clip(name=str(CLIP), weights=str(path)).state_dict()
    for name, value in clip.state_dict().items():
        assert read[name].dtype == value.dtype
        assert torch.allclose(read[name], value, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("tower", ["convnext", "vit"])
def test_timm_towers_train_on_crops_of_any_size(tower: str, pool: Path, tmp_path: Path) -> None:
    name = str(CLIP.with_name(f"small_{tower}_clip.json"))
    trainer = ClipTrainer(
        clip_name=name,
        pool=pool,
        settings=replace(SETTINGS, steps=100, warmup=2),
        checkpoint=tmp_path / "fit.pt",
        workers=0,
    )
    path = tmp_path / "small.safetensors"
    write_weights(path, trainer.clip)
    assert path.stat().st_size <= LARGEST_WEIGHTS
    for size in (64, 96):
        embedding = embed_images(trainer.clip.visual, torch.rand(2, 3, size, size))
        assert embedding.shape == (2, 128)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(2))
    trainer.clip.train()
    batch = trainer._batches[0]
    losses = [trainer._train_step(*batch) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_zero_shot_counts_every_crop_and_the_card_shows_its_figures(pool: Path) -> None:
    clip = load_clip(name=str(CLIP), weights=None)
    results = zero_shot(
        clip,
        clip_name=str(CLIP),
        pool=open_pool(pool),
        crops_per_class=1,
        look_names=LOOK_NAMES[:3],
    )
    assert sum(map(sum, results["class_confusion"])) == results["crops"]
    assert sum(map(sum, results["look_confusion"])) == results["crops"]
    right = sum(row[k] for k, row in enumerate(results["class_confusion"]))
    assert results["class_accuracy"] == pytest.approx(right / results["crops"])
    assert results["joint_accuracy"] <= results["look_accuracy"]
    assert list(results["looks"]) == [*LOOK_NAMES[:3], "unnamed"]
    facts = dict.fromkeys(("name", "tower", "command", "machine", "world_looks"), "text")
    facts |= dict.fromkeys(("size", "scenes", "steps", "images", "held_out", "rendered_scenes"), 7)
    facts |= dict.fromkeys(("conditions", "styles"), 20)
    facts |= dict.fromkeys(("parameters", "megabytes", "minutes"), 1.5)
    facts |= dict.fromkeys(("plain_share", "unnamed_share"), 0.25)
    card = model_card(results | {"rendered": {"fog": 0.875, "noisy_camera": 0.5}}, facts=facts)
    assert "| fog (trained on) | 87.5 |\n| noisy_camera | 50.0 |" in card
    assert f"| **all named** | {100 * results['class_accuracy']:.1f} |" in card
    assert "57 texts" in card


@pytest.mark.parametrize(("name", "least"), [("small_clip", 0.6), ("small_convnext_clip", 0.5)])
def test_committed_clips_classify_every_look(name: str, least: float) -> None:
    config = str(CLIP.with_name(f"{name}.json"))
    clip = load_small_clip(config, str(CLIP.parents[1] / f"weights/{name}.safetensors"))
    settings = PoolSettings(scenes=3, seed=9_500_000)
    accuracy = rendered_accuracy(clip, clip_name=config, settings=settings, crops_per_class=3)
    assert list(accuracy) == list(LOOKS)
    unseen = [accuracy[look] for look in LOOKS if look not in WORLD_LOOKS]
    assert len(unseen) == 3
    assert sum(accuracy.values()) / len(accuracy) > least
    assert min(unseen) > 0.4  # chance is 0.05


def test_no_scene_of_clips_training_can_be_in_a_benchmark() -> None:
    seeds = runpy.run_path(str(CLIP.parents[1] / "train_clip.py"))
    ours = [seed for name, seed in seeds.items() if name.endswith("_SCENES")]
    assert len(set(ours)) == 3
    with pytest.raises(LangDGError, match="seed is"):
        Settings(height=16, width=16, seed=min(ours), train=0, val=0, targets=0)
    assert not {"noisy_camera", *VALIDATION_LOOKS} & set(WORLD_LOOKS)


@pytest.fixture
def train_clip(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """The command with small scenes, tested in one look on a crop of every class."""
    main = runpy.run_path(str(CLIP.parents[1] / "train_clip.py"))["main"]
    small = partial(PoolSettings, height=64, width=128)
    short = partial(zero_shot, look_names=LOOK_NAMES[:1])
    monkeypatch.setitem(main.__globals__, "PoolSettings", small)
    monkeypatch.setitem(main.__globals__, "zero_shot", short)
    monkeypatch.setitem(main.__globals__, "_CROPS_PER_CLASS", 1)
    return main


def test_command_writes_weights_and_model_card(
    train_clip: Callable[[list[str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"scenes": 60, "held-out": 60, "rendered": 2, "steps": 2, "images": 6, "workers": 0}
    options = " ".join(f"--{name} {count}" for name, count in counts.items())
    command = f"--output {tmp_path} {options}".split()
    train_clip(command)
    weights = tmp_path / "small_clip.safetensors"
    assert str(weights) in capsys.readouterr().out
    clip = load_clip(name=str(CLIP), weights=str(weights))
    results = json.loads((tmp_path / "clip.json").read_text())
    held_out = open_pool(tmp_path / "held_out")
    arguments = {"pool": held_out, "crops_per_class": 1, "look_names": LOOK_NAMES[:1]}
    again = zero_shot(clip.eval(), clip_name=str(CLIP), **arguments)
    assert results["crops"] == again["crops"]
    assert results["class_accuracy"] == pytest.approx(again["class_accuracy"], abs=0.01)
    card = (tmp_path / "README.md").read_text()
    assert f"| **all named** | {100 * results['class_accuracy']:.1f} |" in card
    assert "train_clip.py --output output/small_clip --scenes 60 --held-out 60" in card
    with pytest.raises(SystemExit, match="other output folder"):
        train_clip([*command, "--lr", "0.5"])


def test_the_command_asks_for_an_output_folder(
    train_clip: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train_clip([])
    assert "--output" in capsys.readouterr().err
