"""Mining batches and whole source sets: resuming, sharing out."""

import json
import logging
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.utils import comm
from PIL import Image
from safetensors.torch import save_file

from langdg_d2.data import SeededBatches
from langdg_d2.data.sources import images_fingerprint
from langdg_d2.modeling import (
    ClipResNet,
    PixelNormalization,
    load_clip,
    load_embedding_clip,
    load_image_tower,
)
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import (
    BankStyles,
    PinSettings,
    SourceMining,
    StyleBank,
    StyleBankError,
    StyleMiner,
    TargetPrompts,
    mining_origin,
)
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_atomically

CLASSES = ("road", "car", "sky")
STYLES = ("old", "new", "odd")
GRID = PatchGrid(2, 2)


def build_miner(clip_config, grid=GRID, steps=2, weights=None):
    torch.manual_seed(0)  # the same random CLIP in every process
    return StyleMiner(
        clip=load_embedding_clip(name=clip_config, weights=weights, restyled_layer="layer1"),
        grid=grid,
        prompts=TargetPrompts(class_names=CLASSES, style_prompts=STYLES, ignore_label=255),
        normalize=PixelNormalization(mean=(100.0, 100.0, 100.0), std=(50.0, 50.0, 50.0)),
        pin=PinSettings(steps=steps),
        device="cpu",
    )


def example(record):
    """A random image, different whenever it is drawn, of stripes of two classes."""
    image = torch.from_numpy(np.random.randint(0, 256, (3, 40, 48), dtype=np.uint8))
    label = torch.full((40, 48), record["id"] % 3, dtype=torch.uint8)
    label[:, 24:] = 255
    return {"image": image, "sem_seg": label}


def records(size=12, folder="/data"):
    return [{"id": k, "file_name": f"{folder}/images/{k:05d}.png"} for k in range(size)]


def build_batches(kind=SeededBatches, dataset=None):
    return kind(dataset=dataset or records(), mapper=example, batch_size=2, seed=4)


def origin(style_prompts=STYLES, template="{style} {class_name}", dataset=None, **changes):
    prompts = TargetPrompts(
        class_names=CLASSES, style_prompts=style_prompts, ignore_label=255, template=template
    )
    known = {
        "source": "stripes",
        "seed": 4,
        "pin": PinSettings(steps=2),
        "settings": {"note": "test"},
    }
    images = images_fingerprint(dataset or records())
    return mining_origin(**known | {"prompts": prompts, "images": images} | changes)


def mine(
    clip_config,
    path,
    kind=SeededBatches,
    dataset=None,
    period=1,
    source="stripes",
    most=None,
    steps=2,
):
    SourceMining(
        miner=build_miner(clip_config, steps=steps),
        batches=build_batches(kind, dataset),
        origin=origin(dataset=dataset, source=source, pin=PinSettings(steps=steps)),
        path=str(path),
        checkpoint_period=period,
        num_workers=0,
        max_styles_per_class=most,
    ).run()
    return StyleBank.load(path)


def same(first: StyleBank, second: StyleBank) -> bool:
    names = ("mean", "std", "class_id", "cosine_before", "cosine_after")
    equal = all(torch.equal(getattr(first, n), getattr(second, n)) for n in names)
    return equal and first.prompts == second.prompts and first.header == second.header


def test_mined_styles_are_the_optimised_statistics_of_the_chosen_patches(tiny_clip):
    miner = build_miner(tiny_clip, grid=PatchGrid(1, 2), steps=0)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[1, :, 32:] = 2
    header = miner.header(source="s", seed=0, settings={})
    bank = miner.mine(images, labels, header=header, generator=torch.Generator().manual_seed(0))
    norm = miner.backbone.tower.bn1
    x = torch.rand(1, norm.num_features, 2, 2)
    assert torch.equal(norm(x), x)  # folded into the convolution before it
    low = miner.backbone.forward_low((images - 100.0) / 50.0)["res2"]
    expected = torch.stack([low[0, :, :, :8], low[1, :, :, 8:]])  # road, sky
    assert bank.class_id.tolist() == [0, 2]
    assert torch.allclose(bank.mean, expected.mean((2, 3)), atol=1e-5)
    assert torch.allclose(bank.std, (expected.flatten(2).var(2) + 1e-5).sqrt(), atol=1e-5)
    assert [p.split()[-1] for p in bank.prompts] == ["road", "sky"]


def test_header_knows_the_whole_clip_that_training_loads(tiny_clip, tmp_path):
    state = load_clip(name=tiny_clip, weights=None).state_dict()
    weights = tmp_path / "clip.safetensors"
    save_file(state, weights)
    expected = load_image_tower(name=tiny_clip, weights=str(weights)).whole_clip_fingerprint
    assert (
        build_miner(tiny_clip, weights=str(weights))
        .header(source="s", seed=0, settings={})
        .whole_clip_fingerprint
        == expected
    )
    save_file(state | {"logit_scale": state["logit_scale"] + 1}, weights)  # makes no embedding
    tower = load_image_tower(name=tiny_clip, weights=str(weights))
    assert tower.whole_clip_fingerprint == expected


@pytest.mark.parametrize(("part", "key"), [("text_cfg", "heads"), ("vision_cfg", "head_width")])
def test_other_attention_heads_change_the_fingerprint(tiny_clip, tmp_path, part, key):
    config = json.loads(Path(tiny_clip).read_text())
    weights = tmp_path / "clip.safetensors"
    save_file(load_clip(name=tiny_clip, weights=None).state_dict(), weights)

    def fingerprint(value):
        other = tmp_path / f"clip{value}.json"
        other.write_text(json.dumps(config | {part: config[part] | {key: value}}))
        return load_image_tower(name=str(other), weights=str(weights)).whole_clip_fingerprint

    assert fingerprint(2) != fingerprint(4)


def test_whole_source_gives_a_style_for_each_class_of_each_batch(tiny_clip, tmp_path):
    bank = mine(tiny_clip, tmp_path / "bank.safetensors")
    batches = build_batches()
    grid = PatchGrid(2, 2)
    present = [
        sorted({c for x in batches[k] for c in grid.majority(x["sem_seg"]).flatten().tolist()})
        for k in range(len(batches))
    ]
    assert bank.class_id.tolist() == [c for classes in present for c in classes]
    assert {p for p, c in zip(bank.prompts, bank.class_id, strict=True) if c == 255} == {"photo"}
    assert bank.header.source == "stripes"
    assert bank.header.settings["pin"]["steps"] == 2
    assert bank.header.settings["images"] == images_fingerprint(records())
    assert list(tmp_path.iterdir()) == [tmp_path / "bank.safetensors"]


def test_progress_is_logged_every_half_minute(tiny_clip, tmp_path, caplog, monkeypatch):
    clock = SimpleNamespace(monotonic=iter(range(0, 140, 20)).__next__)  # 20 s for every batch
    monkeypatch.setattr("langdg_d2.styles.mining.time", clock)
    with caplog.at_level(logging.INFO, "langdg_d2.styles.mining"):
        bank = mine(tiny_clip, tmp_path / "bank.safetensors")
    first, *lines = [x for x in caplog.messages if x.startswith("mining styles: ")]
    assert first == "mining styles: 6 batches in this process"
    assert [line.split()[2] for line in lines] == ["1/6", "3/6", "5/6", "6/6"]
    assert "3/6 batches, 20 s a batch, 0:01:00 left, mean cosine " in lines[1]
    after, before = bank.cosine_after.mean(), bank.cosine_before.mean()
    assert lines[-1].endswith(f"0:00:00 left, mean cosine {after:.3f} ({before:.3f} before)")


class Interrupted(SeededBatches):
    """Ends abruptly when a batch is asked for that is past a limit."""

    limit = 3

    def __getitem__(self, number):
        if number == self.limit:
            raise KeyboardInterrupt
        return super().__getitem__(number)


def test_interrupted_mining_goes_on_to_the_same_bank(tiny_clip, tmp_path):
    whole = mine(tiny_clip, tmp_path / "whole.safetensors")
    path = tmp_path / "broken.safetensors"
    with pytest.raises(KeyboardInterrupt):
        mine(tiny_clip, path, Interrupted)
    assert not path.exists()
    parts = [StyleBank.load(tmp_path / f"broken.safetensors.part{k}") for k in range(3)]
    mean = torch.cat([part.mean for part in parts])
    assert torch.equal(mean, whole.mean[: len(mean)])
    # What is done is not asked for again.
    asked = []

    class Asked(SeededBatches):
        def __getitem__(self, number):
            asked.append(number)
            return super().__getitem__(number)

    assert same(mine(tiny_clip, path, Asked), whole)
    assert len(asked) == 3
    assert not list(tmp_path.glob("*.part*"))


def test_unfinished_work_of_other_settings_is_refused_and_kept(tiny_clip, tmp_path):
    path = tmp_path / "bank.safetensors"
    with pytest.raises(KeyboardInterrupt):
        mine(tiny_clip, path, Interrupted)
    with pytest.raises(StyleBankError, match=r"part0' was mined with other settings"):
        mine(tiny_clip, path, steps=3)
    # Of the same number of images, but not the same ones in the same order.
    with pytest.raises(StyleBankError, match=r"settings\.images: the bank has '12 images, .*'12 i"):
        mine(tiny_clip, path, dataset=records()[::-1])
    assert (tmp_path / "bank.safetensors.part0").exists()
    moved = records(folder="/elsewhere")
    found = mine(tiny_clip, path, dataset=moved).header.settings["images"]
    assert found == images_fingerprint(moved)


def test_unfinished_work_of_other_labels_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "bank.safetensors"
    labelled = [x | {"sem_seg_file_name": f"{tmp_path}/{x['id']}.png"} for x in records()]
    for record in labelled:
        Image.new("L", (48, 40), record["id"] % 3).save(record["sem_seg_file_name"])
    with pytest.raises(KeyboardInterrupt):
        mine(tiny_clip, path, Interrupted, labelled)
    with open(labelled[3]["sem_seg_file_name"], "ab") as file:
        file.write(b"!")
    with pytest.raises(StyleBankError, match=r"settings\.images: the bank has .*, labels "):
        mine(tiny_clip, path, dataset=labelled)


def test_what_mining_writes_grows_with_its_batches_alone(tiny_clip, tmp_path, monkeypatch):
    written = []

    def count(path, data):
        written.append(len(data))
        write_atomically(path, data)

    monkeypatch.setattr("langdg_d2.styles.bank.write_atomically", count)
    sizes = {}
    for images in (8, 16, 32):
        written.clear()
        mine(tiny_clip, tmp_path / f"{images}", dataset=records(images), steps=0)
        sizes[images] = sum(written)
        assert len(written) == images // 2 + 1
    assert sizes[32] - sizes[16] < 2.1 * (sizes[16] - sizes[8])


def test_two_kills_lose_a_period_each_at_most(tiny_clip, tmp_path):
    path = tmp_path / "bank.safetensors"
    mined = []

    class Killed(SeededBatches):
        def __getitem__(self, number):
            mined.append(number)
            if len(mined) in (4, 8):
                raise KeyboardInterrupt
            return super().__getitem__(number)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            mine(tiny_clip, path, Killed, records(20), period=2)
    resumed = mine(tiny_clip, path, Killed, records(20), period=2)
    assert mined == [0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9]
    whole = mine(tiny_clip, tmp_path / "whole", dataset=records(20))
    assert same(resumed, whole)


def test_unfinished_work_of_another_period_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "bank.safetensors"
    with pytest.raises(KeyboardInterrupt):
        mine(tiny_clip, path, Interrupted, period=2)
    with pytest.raises(StyleBankError, match="checkpoint_period: the bank has 2, this run 3"):
        mine(tiny_clip, path, period=3)


def test_missing_parts_of_other_processes_are_refused(tiny_clip, tmp_path):
    path = tmp_path / "bank.safetensors"

    class Lost(SeededBatches):
        def __getitem__(self, number):
            if number == 5:
                for part in (1, 3):
                    (tmp_path / f"{path.name}.part{part}").unlink()
            return super().__getitem__(number)

    with pytest.raises(StyleBankError, match=r"2 of 6 mined parts are missing, such as '.*part1'"):
        mine(tiny_clip, path, Lost, steps=0)
    assert not path.exists()
    assert mine(tiny_clip, path, steps=0)


def test_capped_bank_is_a_uniform_sample_in_order(tiny_clip, tmp_path):
    whole = mine(tiny_clip, tmp_path / "whole")
    assert min(whole.counts().values()) > 1
    capped = mine(tiny_clip, tmp_path / "capped", most=2)
    assert capped.counts() == dict.fromkeys(whole.counts(), 2)
    assert same(capped, whole.sample(2, seed=4))
    assert same(mine(tiny_clip, tmp_path / "all", most=99), whole)
    with pytest.raises(LangDGError, match="max_styles_per_class is 0, expected a whole number"):
        mine(tiny_clip, tmp_path / "none", most=0)
    rows = [tuple(row) for row in whole.mean.tolist()]
    draws = [whole.sample(2, seed=seed) for seed in range(400)]
    places = [[rows.index(tuple(row)) for row in one.mean.tolist()] for one in draws]
    assert all(chosen == sorted(set(chosen)) for chosen in places)
    count = np.bincount([place for chosen in places for place in chosen], minlength=len(rows))
    expected = [400 * 2 / whole.counts()[name_of(whole, k)] for k in range(len(rows))]
    assert np.abs(count - expected).max() < 5 * np.sqrt(max(expected))


def name_of(bank, row):
    labels = {k: name for name, k in bank.header.labels.items()}
    return labels[int(bank.class_id[row])]


def test_several_sources_are_named_together(tiny_clip, tmp_path, caplog):
    path = tmp_path / "bank.safetensors"
    assert mine(tiny_clip, path, source=["stripes", "dots"]).header.source == "stripes + dots"
    caplog.clear()
    load(tiny_clip, path, source=["stripes", "dots"])
    assert warnings_of_mining(caplog) == []
    load(tiny_clip, path, source=["dots", "stripes"])
    assert "source: the bank has 'stripes + dots', this config 'dots + stripes'" in caplog.text


def test_mining_without_any_saving_is_refused(tiny_clip, tmp_path):
    with pytest.raises(LangDGError, match="checkpoint_period is 0, expected a whole number"):
        mine(tiny_clip, tmp_path / "bank.safetensors", period=0)


def _mine_in_process(args: Namespace) -> None:
    torch.set_num_threads(1)
    mine(args.clip, args.path)


def test_two_processes_mine_the_bank_of_one(in_two_processes, tiny_clip, tmp_path):
    path = tmp_path / "two.safetensors"
    in_two_processes(_mine_in_process, clip=tiny_clip, path=str(path))
    one = mine(tiny_clip, tmp_path / "one.safetensors")
    two = StyleBank.load(path)
    assert torch.equal(two.class_id, one.class_id)
    assert two.prompts == one.prompts
    assert torch.allclose(two.mean, one.mean, rtol=1e-4, atol=1e-5)
    assert torch.allclose(two.std, one.std, rtol=1e-4, atol=1e-5)
    assert not list(tmp_path.glob("*.part*"))


def _fail_in_process(args: Namespace) -> None:
    torch.set_num_threads(1)
    for name in ("resuming", "finishing"):
        try:
            mine(args.clip, f"{args.folder}/{name}", dataset=records(4))
        except (StyleBankError, OSError, RuntimeError) as error:
            message = f"{type(error).__name__}: {error}"
            Path(f"{args.folder}/{name}.error{comm.get_rank()}").write_text(message)


def test_failure_of_main_process_ends_the_others(in_two_processes, tiny_clip, tmp_path):
    (tmp_path / "resuming.part0").write_bytes(b"damaged")
    (tmp_path / "finishing").mkdir()
    in_two_processes(_fail_in_process, clip=tiny_clip, folder=str(tmp_path))
    for name, message in (
        (
            "resuming",
            "StyleBankError: delete this damaged part of an unfinished mining run: "
            f"'{tmp_path}/resuming.part0' cannot be read as a style bank",
        ),
        ("finishing", "IsADirectoryError: "),
    ):
        own, other = ((tmp_path / f"{name}.error{rank}").read_text() for rank in (0, 1))
        assert own.startswith(message)
        assert other == own


def load(clip_config, path, **changes):
    """The bank as training loads it, whose config says what `mine` does but for changes."""
    torch.manual_seed(0)  # the CLIP of the miner
    tower = load_clip(name=clip_config, weights=None).visual
    styles = BankStyles(
        bank=str(path),
        grid=GRID,
        class_names=CLASSES,
        ignore_label=255,
        origin=origin(**changes),
    )
    styles.prepare(ClipResNet(tower=tower, output_stride=16, trainable=()))
    return styles.bank


def test_bank_mined_as_configured_loads_silently(tiny_clip, tmp_path, caplog):
    path = tmp_path / "bank.safetensors"
    mined = mine(tiny_clip, path)
    caplog.clear()
    assert same(load(tiny_clip, path), mined)
    assert warnings_of_mining(caplog) == []


def warnings_of_mining(caplog):
    return [record for record in caplog.records if record.name == "langdg_d2.styles.mixing"]


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"source": "dots"}, "source: the bank has 'stripes', this config 'dots'"),
        ({"seed": 5}, "seed: the bank has 4, this config 5"),
        ({"settings": {"note": 1}}, "settings.note: the bank has 'test', this config 1"),
        ({"pin": PinSettings(steps=2, lr=0.5)}, "settings.pin.lr: the bank has 1.0, this con"),
        ({"dataset": records(10)}, "settings.images: the bank has '12 images, "),
        (
            {"style_prompts": ("old", "new", "red")},
            "settings.prompts: the bank has 10 items such as 'odd road', 'odd car', 'odd sky', "
            "this config 10 items such as 'red road', 'red car', 'red sky'",
        ),
        (
            {"template": "{style}"},
            "settings.prompts: the bank has 10 items such as 'old road', 'new road', 'odd road', "
            "6 more, this config 4 items such as 'old', 'new', 'odd'",
        ),
    ],
)
def test_bank_mined_otherwise_gives_a_warning(tiny_clip, tmp_path, caplog, changes, difference):
    path = tmp_path / "bank.safetensors"
    mined = mine(tiny_clip, path)
    caplog.clear()
    assert same(load(tiny_clip, path, **changes), mined)
    (record,) = warnings_of_mining(caplog)
    head, *lines = record.getMessage().splitlines()
    assert record.levelname == "WARNING"
    assert str(path) in head
    assert len(lines) == 1
    assert lines[0].startswith(f"- {difference}")


def test_every_part_of_a_merged_bank_is_compared(tiny_clip, tmp_path, caplog):
    banks = [mine(tiny_clip, tmp_path / f"{steps}.safetensors", steps=steps) for steps in (0, 2)]
    StyleBank.merge(banks).save(tmp_path / "both.safetensors")
    caplog.clear()
    assert len(load(tiny_clip, tmp_path / "both.safetensors")) == 2 * len(banks[0])
    (record,) = warnings_of_mining(caplog)
    assert record.getMessage().splitlines()[1:] == [
        "- settings.pin.steps: the bank has 0, this config 2"
    ]
