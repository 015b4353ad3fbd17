"""The file of a style bank: safetensors, with its header as JSON in the metadata.

Prompts are tensors, too: each text once, and for every style which of them is its own. As JSON, as
version 1 had them, 2.6 million would be more than safetensors reads.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ..utils.file_io import write_atomically
from .bank_header import StyleBankError

_FORMAT = "langdg_d2.style_bank"  # the record's key in the metadata
_VERSION = 2
_CHECKSUM = "sha256"  # of the rest of the record and the tensors; banks once had none
_TEXTS = "prompt_texts"  # bytes of a JSON list of distinct texts
_INDEX = "prompt_index"  # (S,) place of each style's text in it


def write_bank_file(
    path: Path, header: Mapping[str, object], prompts: Sequence[str], tensors: Mapping[str, Tensor]
) -> None:
    """Create or replace the file, and its folder if need be; the same content, the same bytes.

    Raises:
        OSError: if it cannot be written; an earlier file is then left as it was.
    """
    on_cpu = {name: tensor.cpu() for name, tensor in tensors.items()} | _pack(prompts)
    content = {"version": _VERSION, "header": header}
    # One entry, not one per value: safetensors writes several in random order.
    metadata = {_FORMAT: json.dumps({**content, _CHECKSUM: _checksum(content, on_cpu)})}
    write_atomically(path, save(on_cpu, metadata=metadata))


def read_bank_file(
    path: Path, names: Collection[str]
) -> tuple[dict[str, Any], Sequence[str], dict[str, Tensor]]:
    """Header, prompts and tensors of a file, the tensors on the CPU.

    Args:
        path: of the file.
        names: of the tensors it has to hold beside the prompts, no more and no less.

    Raises:
        StyleBankError: another kind of file, another version, or other tensors.
        SafetensorError, OSError, KeyError, TypeError, ValueError: no such file, or damage.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if _FORMAT not in metadata:
            raise StyleBankError(f"a safetensors file, but without the entry '{_FORMAT}'")
        record = json.loads(metadata[_FORMAT])
        version = record["version"]
        if version not in (1, _VERSION):
            raise StyleBankError(f"version {version}, this program reads versions 1 and {_VERSION}")
        expected = {*names} if version == 1 else {*names, _TEXTS, _INDEX}
        if set(file.keys()) != expected:
            raise StyleBankError(f"it holds {sorted(file.keys())}, expected {sorted(expected)}")
        tensors = {name: file.get_tensor(name) for name in expected}
    checksum = record.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(record, tensors):
        raise StyleBankError("its checksum is another than it was written with: it is damaged")
    prompts = record["prompts"] if version == 1 else _unpack(tensors)
    return record["header"], prompts, {name: tensors[name] for name in names}


def _pack(prompts: Sequence[str]) -> dict[str, Tensor]:
    places = {text: place for place, text in enumerate(dict.fromkeys(prompts))}
    texts = json.dumps(list(places)).encode()
    return {
        _TEXTS: torch.frombuffer(bytearray(texts), dtype=torch.uint8),
        _INDEX: torch.tensor([places[text] for text in prompts], dtype=torch.int32),
    }


def _unpack(tensors: Mapping[str, Tensor]) -> list[str]:
    texts, index = json.loads(tensors[_TEXTS].numpy().tobytes()), tensors[_INDEX]
    if not isinstance(texts, list) or ((index < 0) | (index >= len(texts))).any():
        raise StyleBankError("its prompts are damaged")
    return [texts[place] for place in index.tolist()]


def _checksum(record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a record of JSON types and of tensors on the CPU, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(record).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
