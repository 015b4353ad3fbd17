"""The fingerprint of weights tells weights apart, and nothing else."""

import hashlib
import re

import pytest
import torch

from langdg_d2.modeling.checkpoint_files import fingerprint

WEIGHTS = {
    "conv.weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 4),
    "conv.half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "conv.brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "bn.count": torch.tensor(7),
    "empty": torch.empty(0, 3),
}


def test_fingerprint_is_the_documented_hash() -> None:
    digest = hashlib.sha256()
    digest.update(b"('a', (2,), 'torch.float32')")
    digest.update(bytes.fromhex("0000803f 00000040"))  # 1 and 2, little-endian
    digest.update(b"('b', (), 'torch.int64')")
    digest.update((3).to_bytes(8, "little"))
    weights = {"b": torch.tensor(3), "a": torch.tensor([1.0, 2.0])}
    assert fingerprint(weights) == digest.hexdigest()[:16]


def test_neither_order_nor_layout_nor_gradients_matter() -> None:
    expected = fingerprint(WEIGHTS)
    assert re.fullmatch("[0-9a-f]{16}", expected)
    assert fingerprint(dict(reversed(WEIGHTS.items()))) == expected
    strided = WEIGHTS["conv.weight"].permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not strided.is_contiguous()
    parameter = torch.nn.Parameter(strided)
    assert fingerprint(WEIGHTS | {"conv.weight": parameter}) == expected
    for count in (0, 9):
        counted = WEIGHTS | {"bn1.num_batches_tracked": torch.tensor(count)}
        assert fingerprint(counted) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"conv.weight": WEIGHTS["conv.weight"].reshape(3, 2, 4)},
        {"conv.weight": WEIGHTS["conv.weight"].double()},
        {"conv.weight": WEIGHTS["conv.weight"].nextafter(torch.tensor(torch.inf))},
        {"conv.half": WEIGHTS["conv.half"].view(torch.bfloat16)},
        {"bn.count": torch.tensor(8)},
        {"empty": torch.empty(3, 0)},
        {"more": torch.empty(0)},
    ],
)
def test_shape_type_value_and_name_matter(changed: dict[str, torch.Tensor]) -> None:
    assert fingerprint(WEIGHTS | changed) != fingerprint(WEIGHTS)


def test_renamed_weights_are_other_weights() -> None:
    renamed = {f"visual.{name}": weight for name, weight in WEIGHTS.items()}
    assert fingerprint(renamed) != fingerprint(WEIGHTS)
