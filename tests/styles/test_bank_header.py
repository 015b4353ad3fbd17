"""Headers of style banks: checked, and compared with the model and with each other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from langdg_d2.modeling import ClipResNet
from langdg_d2.structures import PatchGrid
from langdg_d2.styles.bank import (
    BankHeader,
    StyleBank,
    StyleBankError,
    feature_fingerprint,
    merge_headers,
)

MakeBank = Callable[..., StyleBank]


@pytest.mark.parametrize(
    "changes",
    [{"class_names": ("road", "ignore")}, {"ignore_label": 2}, {"ignore_label": 256}],
)
def test_labels_are_distinct_and_8_bit(changes: dict[str, Any], header: BankHeader) -> None:
    with pytest.raises(StyleBankError, match="expected an ignore label in [23]..255, and no class"):
        replace(header, **changes)


def test_only_given_fields_of_a_header_are_compared(header: BankHeader) -> None:
    assert header.differences(vars(header), other="that") == []
    assert header.differences({"layer": "layer1", "seed": None}, other="that") == []
    unknown = replace(header, seed=None)
    assert unknown.differences({"seed": 1}, other="that") == []
    found = header.differences({"layer": "layer1", "channels": 3}, other="that")
    assert found == ["channels: the bank has 2, that 3"]


def test_another_models_bank_is_refused_with_all_differences(
    bank: MakeBank, tiny_tower: nn.Module
) -> None:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=(), restyled_layer="layer2")
    with pytest.raises(StyleBankError) as caught:
        bank().check(backbone, grid=PatchGrid(1, 1), class_names=["road"], ignore_label=254)
    head, *lines = str(caught.value).splitlines()
    assert "tools/mine_styles.py" in head
    assert "the bank that belongs to this model" in head
    fingerprint = feature_fingerprint(backbone)
    assert lines == [
        "- layer: the bank has 'layer1', the model 'layer2'",
        "- channels: the bank has 2, the model 32",
        f"- clip_fingerprint: the bank has '0123456789abcdef', the model '{fingerprint}'",
        "- grid: the bank has (3, 3), the model (1, 1)",
        "- class_names: the bank has ('road', 'car', 'sky'), the model ('road',)",
        "- ignore_label: the bank has 255, the model 254",
    ]


def test_differing_settings_are_named(
    header: BankHeader,
) -> None:
    own = replace(header, settings={"pin": {"steps": 1, "lr": 1.0}, "prompts": [*"abcdef"]})
    other = {"pin": {"steps": 2, "lr": 1.0}, "prompts": [*"bcdefgh"], "crop": [4, 5]}
    assert own.differences({"settings": other, "seed": 7}, other="that") == [
        "settings.pin.steps: the bank has 1, that 2",
        "settings.prompts: the bank has 6 items such as 'a', that 7 items such as 'g', 'h'",
        "settings.crop: the bank has None, that [4, 5]",
    ]
    reordered = {"settings": dict(own.settings) | {"prompts": [*"fedcba"]}}
    assert own.differences(reordered, other="that") == [
        "settings.prompts: the bank has 6 items such as 'a', 'b', 'c', 3 more, "
        "that 6 items such as 'f', 'e', 'd', 3 more"
    ]


def test_merged_banks_are_of_one_text_tower_or_unknown(bank: MakeBank, header: BankHeader) -> None:
    def merged(*fingerprints: str | None) -> str | None:
        headers = [
            replace(header, seed=seed, whole_clip_fingerprint=fingerprint)
            for seed, fingerprint in enumerate(fingerprints)
        ]
        return merge_headers(headers).whole_clip_fingerprint

    assert merged("a", "a") == "a"
    assert merged("a", None) is merged(None, "a") is merged(None, None) is None
    for fingerprints in (("a", "b"), (None, "a", "b")):
        with pytest.raises(StyleBankError, match="whole_clip_fingerprint: the bank has 'b'"):
            merged(*fingerprints)


def test_parts_of_a_merged_header_are_the_headers_merged(
    bank: MakeBank, header: BankHeader
) -> None:
    parts = [replace(header, seed=seed, settings={"steps": seed}) for seed in (1, 2, 3)]
    merged = StyleBank.merge([bank(header=part) for part in parts])
    assert merged.header.parts == parts
    assert header.parts == [header]
