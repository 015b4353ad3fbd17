"""The file of a style bank: safetensors, with a record of plain values as JSON in its metadata."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ..structures.files import write_atomically
from .bank_header import StyleBankError

_FORMAT = "langdg_d2.style_bank"  # the record's key in the metadata
_VERSION = 1
_CHECKSUM = "sha256"  # of the rest of the record and the tensors; banks once had none


def write_bank_file(
    path: Path, record: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> None:
    """Create or replace the file, and its folder if need be; the same content, the same bytes.

    Raises:
        OSError: if it cannot be written; an earlier file is then left as it was.
    """
    on_cpu = {name: tensor.cpu() for name, tensor in tensors.items()}
    content = {"version": _VERSION, **record}
    # One entry, not one per value: safetensors writes several in random order.
    metadata = {_FORMAT: json.dumps({**content, _CHECKSUM: _checksum(content, on_cpu)})}
    write_atomically(path, save(on_cpu, metadata=metadata))


def read_bank_file(path: Path, names: Collection[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Record and tensors of a file, the tensors on the CPU.

    Args:
        path: of the file.
        names: of the tensors it has to hold, no more and no less.

    Raises:
        StyleBankError: another kind of file, another version, or other tensors.
        SafetensorError, OSError, KeyError, TypeError, ValueError: no such file, or damage.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if _FORMAT not in metadata:
            raise StyleBankError(f"a safetensors file, but without the entry '{_FORMAT}'")
        record = json.loads(metadata[_FORMAT])
        if record["version"] != _VERSION:
            raise StyleBankError(
                f"version {record['version']}, this program reads version {_VERSION}"
            )
        if set(file.keys()) != set(names):
            raise StyleBankError(f"it holds {sorted(file.keys())}, expected {sorted(names)}")
        tensors = {name: file.get_tensor(name) for name in names}
        expected = record.pop(_CHECKSUM, None)
        if expected is not None and expected != _checksum(record, tensors):
            raise StyleBankError("its checksum is another than it was written with: it is damaged")
        return record, tensors


def _checksum(record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a record of JSON types and of tensors on the CPU, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(record).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
