"""Files of style banks: what is no bank, or a damaged one, is refused by name."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import langdg_d2
from langdg_d2.styles.bank import BankHeader, StyleBank, StyleBankError

MakeBank = Callable[..., StyleBank]
Content = Callable[[StyleBank], tuple[object, ...]]

KEY = "langdg_d2.style_bank"
TENSORS = ("mean", "std", "class_id", "cosine_before", "cosine_after")


def test_a_new_folder_is_made_and_an_earlier_bank_replaced(tmp_path: Path, bank: MakeBank) -> None:
    path = tmp_path / "new" / "folder" / "styles.safetensors"
    bank().save(path)
    bank().subset(classes=["car"]).save(str(path))
    assert len(StyleBank.load(str(path))) == 1
    assert list(path.parent.iterdir()) == [path]


def test_the_same_bank_gives_the_same_bytes(tmp_path: Path, bank: MakeBank) -> None:
    for k in range(5):
        bank().save(tmp_path / str(k))
    assert len({(tmp_path / str(k)).read_bytes() for k in range(5)}) == 1


def test_loaded_tensors_do_not_depend_on_the_file(
    tmp_path: Path, bank: MakeBank, content: Content
) -> None:
    path = tmp_path / "styles.safetensors"
    bank().save(path)
    loaded = StyleBank.load(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert content(loaded) == content(bank())


def test_file_tells_who_made_it(tmp_path: Path, bank: MakeBank, header: BankHeader) -> None:
    bank().save(tmp_path / "styles")
    created_by = StyleBank.load(tmp_path / "styles").header.created_by
    assert created_by == f"langdg_d2 {langdg_d2.__version__}"
    bank(header=replace(header, created_by="langdg_d2 9.9")).save(tmp_path / "styles")
    assert StyleBank.load(tmp_path / "styles").header.created_by == "langdg_d2 9.9"


def test_a_text_is_stored_once_and_four_bytes_a_style(tmp_path: Path, bank: MakeBank) -> None:
    def size(count: int) -> int:
        one = bank().subset(classes=["ignore"])
        StyleBank.merge([one] * count).save(tmp_path / "styles")
        return (tmp_path / "styles").stat().st_size

    # Mean and std of 2 channels, cosines, class, and the place of the text.
    growth = 8_000 * (2 * 2 * 4 + 2 * 4 + 1 + 4)
    assert size(10_000) - size(2_000) == pytest.approx(growth, abs=64)


def test_millions_of_prompts_are_saved_and_loaded(
    tmp_path: Path, bank: MakeBank, header: BankHeader
) -> None:
    """More than 100 MB of JSON, which safetensors does not read."""
    texts = [f"Copper Twilight style number {k} road" for k in range(400)]
    count = 3_000_000
    one = StyleBank(
        header=replace(header, channels=1),
        mean=torch.zeros(count, 1),
        std=torch.zeros(count, 1),
        class_id=torch.zeros(count, dtype=torch.uint8),
        prompts=tuple(texts * (count // len(texts))),
        cosine_before=torch.zeros(count),
        cosine_after=torch.zeros(count),
    )
    assert count * len(json.dumps(texts)) / len(texts) > 1e8
    one.save(tmp_path / "styles")
    assert StyleBank.load(tmp_path / "styles").prompts == one.prompts


def refusal(path: Path) -> str:
    with pytest.raises(StyleBankError) as caught:
        StyleBank.load(path)
    assert str(path) in str(caught.value)
    assert "tools/mine_styles.py" in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_bank_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "styles"
    assert "No such file" in refusal(path)
    assert refusal(tmp_path)
    path.write_bytes(b"")
    assert refusal(path)
    torch.save({"mean": torch.zeros(1)}, path)
    assert refusal(path)
    save_file({"conv1.weight": torch.zeros(3)}, path)
    assert f"without the entry '{KEY}'" in refusal(path)
    save_file({"mean": torch.zeros(3)}, path, metadata={"format": "pt"})
    assert f"without the entry '{KEY}'" in refusal(path)


def parts_of(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and record of a file."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()[KEY])


def test_damaged_prompts_are_refused(tmp_path: Path, bank: MakeBank) -> None:
    path = tmp_path / "styles"
    bank().save(path)
    tensors, record = parts_of(path)
    texts = torch.tensor(list(b"[1, 2, 3, 4]"), dtype=torch.uint8)
    for change in ({"prompt_index": torch.tensor([0, 0, 0, 0, 1])}, {"prompt_texts": texts}):
        save_file(tensors | change, path, metadata={KEY: json.dumps(record)})
        assert "its checksum is wrong" in refusal(path)


def test_other_versions_and_changed_records_are_refused(tmp_path: Path, bank: MakeBank) -> None:
    path = tmp_path / "styles"
    bank().save(path)
    tensors, record = parts_of(path)

    def rewrite(content: object) -> str:
        save_file(tensors, path, metadata={KEY: json.dumps(content)})
        return refusal(path)

    assert "version 3, expected 2" in rewrite(record | {"version": 3})
    assert "checksum is wrong" in rewrite(record | {"header": record["header"] | {"seed": 8}})
    del record["sha256"]
    assert "sha256" in rewrite(record)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{", "{}"])
def test_records_that_are_no_record_are_refused(
    text: str, tmp_path: Path, arguments: Callable[..., dict[str, Any]]
) -> None:
    tensors = {name: arguments()[name] for name in TENSORS}
    save_file(tensors, tmp_path / "styles", metadata={KEY: text})
    assert refusal(tmp_path / "styles")


def complaint(path: Path) -> str:
    """What loading a file ends with; "" if it loads. Other errors than a bank's pass through."""
    try:
        StyleBank.load(path)
    except StyleBankError as error:
        return str(error)
    return ""


def test_every_truncation_is_refused(tmp_path: Path, bank: MakeBank) -> None:
    path = tmp_path / "styles"
    bank().save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert str(path) in complaint(path), size
    path.write_bytes(whole + b"\0")
    assert str(path) in complaint(path)


def test_random_and_damaged_bytes_never_crash(tmp_path: Path, bank: MakeBank) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "styles"
    bank().save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for _ in range(300):
        path.write_bytes(rng.integers(0, 256, rng.integers(0, 200), dtype=np.uint8).tobytes())
        assert str(path) in complaint(path)
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), rng.integers(1, 4))] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        assert complaint(path) == "" or str(path) in complaint(path)


def test_a_pickle_is_refused_without_running_it(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save(Payload(), tmp_path / "styles")
    assert refusal(tmp_path / "styles")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "styles", weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have run
