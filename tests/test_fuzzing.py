"""Whatever the bytes of a file or an override, it is read, or refused with its documented error.

What            | is read by                      | refused with
bank            | StyleBank.load                  | StyleBankError
official bank   | read_official_bank              | StyleBankError
CLIP weights    | read_content                    | LangDGError
checkpoint      | read_checkpoint, both of torch's formats | CheckpointError
official weights| read_checkpoint                 | CheckpointError
prompt pack     | load_style_prompts              | LangDGError
benchmark.json  | read_benchmark                  | BenchmarkFileError
override        | apply_overrides                 | LangDGError

Damage is bytes changed, cut off, doubled, or put in. None may take long or much memory. A few fixed
examples of each are in the ordinary suite, many random ones among the long tests.
"""

import pickle
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from langdg_d2.engine import apply_overrides
from langdg_d2.evaluation import BenchmarkFileError, BenchmarkRun, read_benchmark, write_benchmark
from langdg_d2.modeling.checkpoint_files import (
    CheckpointError,
    read_checkpoint,
    read_content,
)
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import BankHeader, StyleBank, StyleBankError, load_style_prompts
from langdg_d2.utils.errors import LangDGError

OFFICIAL = Path(__file__).parents[1] / "projects/famix/official_release.py"
read_official_bank = run_path(str(OFFICIAL))["read_official_bank"]

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MANY = settings(FEW, max_examples=3000, derandomize=False)
MOST_SECONDS = 10.0
MOST_MEMORY = 300  # MiB

HEADER = BankHeader(
    clip_name="RN50",
    clip_fingerprint="0",
    layer="layer1",
    channels=2,
    grid=(3, 3),
    class_names=CITYSCAPES_19.names,
    ignore_label=255,
    source="gta5",
    seed=1,
)
STATE = {"conv.weight": torch.arange(12.0).view(3, 4), "bn.count": torch.tensor(3)}


def write_bank(path: Path) -> None:
    rows = 4
    StyleBank(
        header=HEADER,
        mean=torch.rand(rows, 2),
        std=torch.rand(rows, 2),
        class_id=torch.arange(rows, dtype=torch.uint8),
        prompts=["Retro style road", "photo", "Noir", ""],
        cosine_before=torch.zeros(rows),
        cosine_after=torch.ones(rows),
    ).save(path)


def write_official(path: Path) -> None:
    path.write_bytes(
        pickle.dumps(
            {
                "road_mu": [torch.rand(2, 1, 1)],
                "road_std": [torch.rand(2, 1, 1)],
            }
        )
    )


def write_checkpoint(path: Path) -> None:
    torch.save({"model": STATE, "iteration": 3, "trainer": {"lr": 0.1, "x": [1, "a"]}}, path)


def write_legacy_checkpoint(path: Path) -> None:
    content = {"model": STATE, "iteration": 3}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def write_results(path: Path) -> None:
    results = {"fog": {"sem_seg": {"mIoU": 12.5, "IoU-road": 90.0}}}
    write_benchmark(results, BenchmarkRun(protocol="full", seed=1), path.parent)
    (path.parent / "benchmark.json").rename(path)


def read_results(path: Path) -> object:
    return read_benchmark(path.rename(path.parent / "benchmark.json").parent)


# name -> writes a good file, reads it, what may be raised
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any], type[Exception]]] = {
    "bank": (write_bank, StyleBank.load, StyleBankError),
    "official bank": (
        write_official,
        lambda path: read_official_bank(path, header=HEADER),
        StyleBankError,
    ),
    "CLIP weights": (lambda path: torch.save(STATE, path), read_content, LangDGError),
    "checkpoint": (write_checkpoint, read_checkpoint, CheckpointError),
    "legacy checkpoint": (write_legacy_checkpoint, read_checkpoint, CheckpointError),
    "official weights": (
        lambda path: torch.save({"model_state": STATE}, path),
        lambda path: read_checkpoint(path, weights="model_state")["model_state"],
        CheckpointError,
    ),
    "prompt pack": (
        lambda path: path.write_text("Retro style # one\n\nin a  fog\nNoir\n"),
        lambda path: load_style_prompts(str(path)),
        LangDGError,
    ),
    "benchmark.json": (write_results, read_results, BenchmarkFileError),
}

PLACES = st.floats(0, 1)
DAMAGE = st.lists(
    st.one_of(
        st.tuples(st.just("change"), PLACES, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("insert"), PLACES, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("cut"), PLACES, PLACES),
        st.tuples(st.just("double"), PLACES, PLACES),
        st.tuples(st.just("end"), PLACES, st.none()),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, damage: list[tuple[str, float, Any]]) -> bytes:
    for kind, place, more in damage:
        start = int(place * len(data))
        if kind == "change":
            data = data[:start] + more + data[start + len(more) :]
        elif kind == "insert":
            data = data[:start] + more + data[start:]
        elif kind == "end":
            data = data[:start]
        else:
            end = start + int(more * (len(data) - start))
            data = data[:start] + data[start:end] * (2 * (kind == "double")) + data[end:]
    return data


@cache
def good(kind: str) -> bytes:
    """The undamaged file."""
    with TemporaryDirectory() as folder:
        KINDS[kind][0](Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reading_is_safe(kind: str, damage: Any, folder: Path) -> None:
    """A damaged file is read or refused as documented, soon and in little memory."""
    _, read, error = KINDS[kind]
    path = folder / "file"
    path.write_bytes(damage if isinstance(damage, bytes) else damaged(good(kind), damage))
    began, memory = time.monotonic(), peak()
    with suppress(error):
        read(path)
    assert time.monotonic() - began < MOST_SECONDS
    assert peak() - memory < MOST_MEMORY


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@FEW
@given(damage=DAMAGE)
def test_damaged_files_are_read_or_refused(kind: str, damage: Any, tmp_path: Path) -> None:
    reading_is_safe(kind, damage, tmp_path)


@pytest.mark.long
@MANY
@given(damage=DAMAGE | st.binary(max_size=200))
def test_many_damaged_files_are_read_or_refused(kind: str, damage: Any, tmp_path: Path) -> None:
    reading_is_safe(kind, damage, tmp_path)


def test_the_good_files_are_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(good(kind))
    assert KINDS[kind][1](tmp_path / "file")


# Remembers None as number 2^26, for which Python's own reader takes a gigabyte.
LARGE_MEMO = b"\x80\x02Nr\x00\x00\x00\x04."


def test_a_pickle_that_counts_far_takes_little_memory(tmp_path: Path) -> None:
    reading_is_safe("legacy checkpoint", LARGE_MEMO, tmp_path)  # torch's own reader
    reading_is_safe("official bank", LARGE_MEMO, tmp_path)
    _, read, error = KINDS["official bank"]
    with pytest.raises(error, match="claims 67108864 objects in 9 bytes"):
        read(tmp_path / "file")


def no_damage_of_a_bank_passes_unnoticed(place: float, new: bytes, folder: Path) -> None:
    """Changed bytes are refused, or change nothing that a bank holds."""
    banks = []
    for data in (good("bank"), damaged(good("bank"), [("change", place, new)])):
        (folder / "file").write_bytes(data)
        with suppress(StyleBankError):
            banks.append(StyleBank.load(folder / "file"))
    whole, *read = banks
    for bank in read:
        assert (bank.header, bank.prompts) == (whole.header, whole.prompts)
        assert torch.equal(bank.mean, whole.mean)
        assert torch.equal(bank.std, whole.std)
        assert torch.equal(bank.class_id, whole.class_id)


@settings(FEW, max_examples=150)
@given(place=PLACES, new=st.binary(min_size=1, max_size=2))
def test_no_damage_of_a_bank_passes_unnoticed(place: float, new: bytes, tmp_path: Path) -> None:
    no_damage_of_a_bank_passes_unnoticed(place, new, tmp_path)


@pytest.mark.long
@MANY
@given(place=PLACES, new=st.binary(min_size=1, max_size=2))
def test_no_change_of_a_bank_passes_unnoticed(place: float, new: bytes, tmp_path: Path) -> None:
    no_damage_of_a_bank_passes_unnoticed(place, new, tmp_path)


KEYS = st.sampled_from(
    [
        "train",
        "train.max_iter",
        "names",
        "names.0",
        "rate",
        "text",
        "call.x",
        "tied",
        "none",
        "",
        ".",
    ]
) | st.text(max_size=8)
VALUES = st.recursive(
    st.sampled_from(
        [
            "1",
            "-2.5",
            "true",
            "null",
            "a b",
            "''",
            '"x',
            "${rate}",
            "${",
            "${a:b}",
            "1e999",
            "[",
            "}",
        ]
    )
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.tuples(st.text(max_size=3), inner).map(lambda pair: "{" + ":".join(pair) + "}")
    ),
    max_leaves=6,
)
OVERRIDES = st.text(max_size=30) | st.tuples(
    st.sampled_from(["", "", "", "+", "++", "~"]),
    KEYS,
    st.sampled_from(["=", "=", "=", "", ":"]),
    VALUES,
).map("".join)


def overriding_is_safe(override: str) -> None:
    """It is taken, or refused with the config left as it was."""
    content = {
        "train": {"max_iter": 10},
        "names": ["a", 1],
        "rate": 0.1,
        "text": "word",
        "call": {"_target_": "list", "x": 1},
        "tied": "${train.max_iter}",
        "none": None,
    }
    cfg = OmegaConf.create(content, flags={"allow_objects": True})
    try:
        changed = apply_overrides(cfg, [override])
    except LangDGError:
        assert OmegaConf.to_container(cfg) == content
    else:
        assert isinstance(changed, DictConfig)


@settings(FEW, max_examples=200)
@given(override=OVERRIDES)
def test_overrides_are_taken_or_refused(override: str) -> None:
    overriding_is_safe(override)


@pytest.mark.long
@MANY
@given(override=OVERRIDES)
def test_many_overrides_are_taken_or_refused(override: str) -> None:
    overriding_is_safe(override)
