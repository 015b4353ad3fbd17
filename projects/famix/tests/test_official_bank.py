"""Banks of the official release: read without running what is in them, and written for it."""

import math
import os
import pickle
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_release import official_header, read_official_bank, write_official_bank

from langdg_d2.modeling import ClipResNet
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import BankHeader, StyleBank, StyleBankError

CHANNELS = 4
HEADER = BankHeader(
    clip_name="RN50-quickgelu",
    clip_fingerprint="0123456789abcdef",
    layer="layer1",
    channels=CHANNELS,
    grid=(3, 3),
    class_names=CITYSCAPES_19.names,
    ignore_label=CITYSCAPES_19.ignore_label,
    source="gta5",
    seed=None,
    settings={"imported_from": "saved_params.pkl"},
)
COUNTS = {"road": 3, "traffic light": 1, "bicycle": 2, "255": 2}


def statistics(rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal((CHANNELS, 1, 1)).astype(np.float32))


def official(counts: dict[str, int] = COUNTS) -> dict[str, Any]:
    """What the official mining writes: every class has two lists, most of them empty here."""
    rng = np.random.default_rng(0)
    names = [*CITYSCAPES_19.names, "255"]
    return {
        f"{name}_{part}": [statistics(rng) for _ in range(counts.get(name, 0))]
        for part in ("mu", "std")
        for name in names
    }


def write(path: Path, content: object, protocol: int | None = None) -> Path:
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(StyleBankError) as caught:
        read_official_bank(path, header=HEADER)
    assert str(path) in str(caught.value)
    assert "expected the saved_params.pkl" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [3, 4, 5])  # the defaults of Python 3
def test_every_style_is_read_exactly(protocol: int, tmp_path: Path) -> None:
    content = official()
    bank = read_official_bank(write(tmp_path / "b.pkl", content, protocol), header=HEADER)
    names = ["road"] * 3 + ["traffic light"] + ["bicycle"] * 2 + ["255"] * 2
    train_ids = [255 if n == "255" else CITYSCAPES_19.names.index(n) for n in names]
    assert bank.class_id.tolist() == train_ids
    for found, part in ((bank.mean, "mu"), (bank.std, "std")):
        rows = [t for name in dict.fromkeys(names) for t in content[f"{name}_{part}"]]
        assert torch.equal(found, torch.stack(rows).view(-1, CHANNELS))
    assert bank.header == HEADER
    assert bank.prompts == ("",) * 8
    assert bank.cosine_before.isnan().all()
    assert bank.cosine_after.isnan().all()


def test_a_read_bank_can_be_saved_and_described(tmp_path: Path) -> None:
    bank = read_official_bank(write(tmp_path / "b.pkl", official()), header=HEADER)
    bank.save(tmp_path / "styles.safetensors")
    loaded = type(bank).load(tmp_path / "styles.safetensors")
    assert loaded.header == HEADER
    assert torch.equal(loaded.mean, bank.mean)
    assert {name: n for name, n in loaded.counts().items() if n} == {
        "road": 3,
        "traffic light": 1,
        "bicycle": 2,
        "ignore": 2,
    }
    assert math.isnan(loaded.cosine_after[0])


def test_parameters_views_and_half_precision_are_read_too(tmp_path: Path) -> None:
    learnt = torch.arange(3.0 * CHANNELS).view(3, CHANNELS, 1, 1)
    content = {
        "road_mu": [torch.nn.Parameter(learnt[0]), learnt[1], learnt[2].half()],
        "road_std": [learnt[2], learnt[1].expand(CHANNELS, 1, 1), learnt[0].double()],
    }
    bank = read_official_bank(write(tmp_path / "b.pkl", content), header=HEADER)
    assert torch.equal(bank.mean, learnt.view(3, CHANNELS))
    assert torch.equal(bank.std, learnt.view(3, CHANNELS).flip(0))
    assert not bank.mean.requires_grad


class Payload:
    """Pickles as a call, which leaves a folder behind if it runs."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def attacks(marker: str) -> dict[str, Payload]:
    make = Payload(os.mkdir, marker)
    return {
        "system": Payload(os.system, f"mkdir {marker}"),
        "eval": Payload(eval, f"__import__('os').mkdir({marker!r})"),
        "storage": Payload(torch.storage._load_from_bytes, pickle.dumps(make)),
        "getattr": Payload(getattr, make, "x"),
        "torch.load": Payload(torch.load, make),
    }


@pytest.mark.parametrize("kind", attacks(""))
@pytest.mark.parametrize("place", ["alone", "in a list", "as a key"])
def test_code_in_a_pickle_never_runs(kind: str, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = attacks(str(marker))[kind]
    content = {
        "alone": attack,
        "in a list": official() | {"road_mu": [attack]},
        "as a key": {attack: []},
    }[place]
    path = write(tmp_path / "b.pkl", content)
    assert "refus" in refusal(path)
    assert not marker.exists()
    with suppress(Exception):
        pickle.loads(path.read_bytes())
    assert marker.exists()  # it would have run


def test_a_refused_name_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "b.pkl", attacks(str(tmp_path / "ran"))["eval"])
    assert "refusing to load 'builtins.eval'" in refusal(path)


def test_a_tensor_reaching_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    storage = torch.zeros(CHANNELS - 1).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    size, stride = (CHANNELS, 1, 1), (1, 1, 1)
    reaching = Payload(torch._utils._rebuild_tensor_v2, typed, 0, size, stride, False, {})
    path = write(tmp_path / "b.pkl", {"road_mu": [reaching], "road_std": []})
    assert "out of bounds" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"road_mu": []}, "'road' has 0 means and 3 stds"),
        ({"sky_std": [torch.zeros(CHANNELS, 1, 1)]}, "'sky' has 0 means and 1 stds"),
        (
            {"bicycle_std": [torch.zeros(CHANNELS, 1, 1), torch.zeros(256, 1, 1)]},
            r"'bicycle_std' number 1 is \(256, 1, 1\), expected a tensor \(4, 1, 1\)",
        ),
        ({"255_mu": [torch.zeros(CHANNELS), 3]}, r"'255_mu' number 0 is \(4,\), expected"),
        ({"255_mu": [[0.0], 3]}, "'255_mu' number 0 is list, expected a tensor"),
        ({"sky_mu": 3}, "TypeError"),
        ({"lane_mu": [], "lane_std": []}, r"unknown entries \['lane_mu', 'lane_std'\], expected"),
        ({7: []}, r"unknown entries \['7'\]"),
        (
            {"255_std": [torch.full((CHANNELS, 1, 1), math.nan)] * 2},
            "non-finite std in 2 of 8 styles",
        ),
    ],
)
def test_wrong_content_is_refused_by_name(
    changes: dict[Any, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "b.pkl", official() | changes)
    with pytest.raises(StyleBankError, match=message):
        read_official_bank(path, header=HEADER)


def test_files_without_styles_and_other_files_are_refused(tmp_path: Path) -> None:
    assert "FileNotFoundError" in refusal(tmp_path / "b.pkl")
    assert "no styles" in refusal(write(tmp_path / "b.pkl", official({})))
    assert refusal(write(tmp_path / "b.pkl", [1]))
    torch.save({"model_state": {}}, tmp_path / "b.pkl")
    assert "written by torch.save, like a checkpoint (.pth)" in refusal(tmp_path / "b.pkl")
    (tmp_path / "b.pkl").write_bytes(b"")
    assert refusal(tmp_path / "b.pkl")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "b.pkl", official())
    whole = path.read_bytes()
    for size in range(1, len(whole), 31):
        path.write_bytes(whole[:size])
        assert refusal(path)


def test_damaged_bytes_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "b.pkl", official())
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    outcomes = set()
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), rng.integers(1, 4))] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        try:
            read_official_bank(path, header=HEADER)
            outcomes.add("read")
        except StyleBankError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_written_banks_are_what_the_official_code_wrote(tmp_path: Path) -> None:
    content = official()
    bank = read_official_bank(write(tmp_path / "b.pkl", content), header=HEADER)
    write_official_bank(tmp_path / "new folder/back.pkl", bank)
    with (tmp_path / "new folder/back.pkl").open("rb") as file:
        written = pickle.load(file)  # as the official training does
    assert list(written) == list(content)
    for key, tensors in content.items():
        assert len(written[key]) == len(tensors), key
        for mine, theirs in zip(written[key], tensors, strict=True):
            assert type(mine) is torch.Tensor
            assert mine.dtype == theirs.dtype
            assert mine.shape == (CHANNELS, 1, 1)
            assert torch.equal(mine, theirs)
            assert mine.untyped_storage().nbytes() == 4 * CHANNELS  # its own, not the table's


def test_a_mined_bank_comes_back_class_by_class_without_prompts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    class_id = torch.tensor([255, 18, 0, 18, 0], dtype=torch.uint8)
    bank = StyleBank(
        header=HEADER,
        mean=torch.from_numpy(rng.standard_normal((5, CHANNELS), dtype=np.float32)),
        std=torch.from_numpy(rng.standard_normal((5, CHANNELS), dtype=np.float32)),
        class_id=class_id,
        prompts=list("abcde"),
        cosine_before=torch.zeros(5),
        cosine_after=torch.ones(5),
    )
    write_official_bank(tmp_path / "b.pkl", bank)
    back = read_official_bank(tmp_path / "b.pkl", header=HEADER)
    order = [2, 4, 1, 3, 0]
    assert torch.equal(back.class_id, class_id[order])
    assert torch.equal(back.mean, bank.mean[order])
    assert torch.equal(back.std, bank.std[order])
    assert back.prompts == ("",) * 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": (1, 1)}, r"grid: the bank has \(1, 1\), the official code \(3, 3\)"),
        ({"layer": "layer2"}, "layer: the bank has 'layer2', the official code 'layer1'"),
        ({"class_names": ("road", "sky")}, "class_names: the bank has"),
        ({"ignore_label": 254}, "ignore_label: the bank has 254, the official code 255"),
    ],
)
def test_banks_that_the_official_code_would_misread_are_not_written(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    bank = StyleBank(
        header=replace(HEADER, **changes),
        mean=torch.zeros(1, CHANNELS),
        std=torch.zeros(1, CHANNELS),
        class_id=torch.zeros(1, dtype=torch.uint8),
        prompts=[""],
        cosine_before=torch.zeros(1),
        cosine_after=torch.zeros(1),
    )
    with pytest.raises(StyleBankError, match=message):
        write_official_bank(tmp_path / "back.pkl", bank)
    assert not (tmp_path / "back.pkl").exists()


@pytest.mark.parametrize("place", [1 << 12, (1 << 31) - 1])
def test_a_few_bytes_cannot_ask_for_gigabytes(tmp_path: Path, place: int) -> None:
    path = tmp_path / "saved_params.pkl"
    path.write_bytes(b"\x80\x04}r" + place.to_bytes(4, "little") + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StyleBankError, match=f"it claims {place} objects in 9 bytes"):
        read_official_bank(path, header=HEADER)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_header_tells_the_clip_of_the_styles(tiny_tower: torch.nn.Module, tmp_path: Path) -> None:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))
    given = {"clip_name": "some/tiny.json", "source": "gta5", "imported_from": "b.pkl"}
    header = official_header(backbone=backbone, **given)
    assert (header.clip_name, header.layer, header.grid) == ("tiny", "layer1", (3, 3))
    assert header.settings == {"imported_from": "b.pkl"}
    both = official_header(backbone=backbone, **given | {"source": ["gta5", "synthia"]})
    assert both.source == "gta5 + synthia"
    zeros = torch.zeros(header.channels, 1, 1)
    path = tmp_path / "b.pkl"
    path.write_bytes(pickle.dumps({"road_mu": [zeros], "road_std": [zeros]}))
    read_official_bank(path, header=header).check(backbone)
    with torch.no_grad():
        backbone.tower.conv1.weight.add_(1)
    with pytest.raises(StyleBankError, match="clip_fingerprint"):
        read_official_bank(path, header=header).check(backbone)


def test_official_bank_for_another_layer_is_refused(
    tiny_tower: torch.nn.Module,
) -> None:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=(), restyled_layer="layer2")
    with pytest.raises(StyleBankError, match=r"restyles 'layer2'; use a config with model\.back"):
        official_header(backbone=backbone, clip_name="RN50", source="gta5", imported_from="b.pkl")
