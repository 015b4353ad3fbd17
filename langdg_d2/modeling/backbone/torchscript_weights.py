"""The weights in a TorchScript archive, as OpenAI publishes CLIP: read without running it.

`torch.jit.load` runs what an archive's classes say about how they are restored, which may write
files. Here nothing but tensors is taken from it.
"""

import ast
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ...utils.errors import LangDGError
from ...utils.untrusted import require_small_memo

_REGISTERS = ("__parameters__", "__buffers__")
# A few bytes can hold a module that holds another twice, which holds another twice, and so on.
_MOST_ATTRIBUTES = 100_000
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("constants.pkl") for entry in archive.namelist())


def read_torchscript_weights(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by name, on the CPU. Nothing in the file is executed.

    Raises:
        Exception: of any kind, for damage and for what is no part of a module with tensors.
    """
    with zipfile.ZipFile(path) as archive:
        (root,) = {PurePosixPath(entry).parts[0] for entry in archive.namelist()}
        data = archive.read(f"{root}/data.pkl")
        require_small_memo(data)
        module = _Unpickler(io.BytesIO(data), archive, root).load()
        registered = _Registered(archive, root)
        return dict(_tensors(module, registered))


class _Module:
    """What an archive tells of a module: the place of its class, and its attributes."""

    place: tuple[str, str]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.attributes = dict(state)


class _Registered:
    """Names of the parameters and buffers of each class, which the archive's code states."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive = archive
        self._root = root
        self._names: dict[tuple[str, str], set[str]] = {}

    def __getitem__(self, place: tuple[str, str]) -> set[str]:
        if place not in self._names:
            module, _ = place
            source = self._archive.read(f"{self._root}/code/{module.replace('.', '/')}.py")
            for node in ast.parse(source).body:
                if isinstance(node, ast.ClassDef):
                    self._names[module, node.name] = set(_stated(node))
        return self._names[place]


def _stated(node: ast.ClassDef) -> Iterator[str]:
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) in _REGISTERS:
            yield from ast.literal_eval(line.value)


def _tensors(module: _Module, registered: _Registered) -> Iterator[tuple[str, Tensor]]:
    count = 0
    for prefix, part in _parts(module, ""):
        count += 1 + len(part.attributes)
        if count > _MOST_ATTRIBUTES:
            raise LangDGError(
                f"it has more than {_MOST_ATTRIBUTES:,} modules and attributes, which no CLIP has"
            )
        names = registered[part.place]
        for name, value in part.attributes.items():
            if isinstance(value, Tensor) and name in names:
                yield prefix + name, value


def _parts(module: _Module, prefix: str) -> Iterator[tuple[str, _Module]]:
    """A module and all in it; one that several hold comes as often."""
    yield prefix, module
    for name, value in module.attributes.items():
        if isinstance(value, _Module):
            yield from _parts(value, f"{prefix}{name}.")


def _tensor(
    flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return flat.as_strided(size, stride, offset)


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors, plain values and what modules consist of; calls no other name."""

    _ALLOWED: Mapping[tuple[str, str], Callable[..., object]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        # Lists of one type.
        **{
            ("torch.jit._pickle", f"build_{kind}list"): list
            for kind in ("int", "double", "bool", "tensor")
        },
    }

    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return type(name, (_Module,), {"place": (module, name)})
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for '{module}.{name}', refused")
        return self._ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, *_ = pid
        data = self._archive.read(f"{self._root}/data/{key}")
        return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0).to(dtype)
