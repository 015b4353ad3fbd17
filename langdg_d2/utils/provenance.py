"""Origin of results: the config as plain data, the state of the code, versions."""

import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import detectron2
import numpy
import torch
from detectron2.utils import comm
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import langdg_d2

_PACKAGE = Path(__file__).parents[1]
_GIT_SECONDS = 20  # limits the delay on slow disks


def plain_data(value: Any) -> Any:
    """Convert a config, or a part of one, to JSON types.

    References are resolved, and non-finite numbers become text. Classes and functions become their
    dotted path; other objects become that of their class with their numbers and texts.
    """
    if OmegaConf.is_config(value):
        try:
            value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException:
            # Unused parts may refer to missing keys; their references stay unresolved.
            value = OmegaConf.to_container(value, resolve=False)
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    held = getattr(value, "__dict__", {})
    plain = [f"{k.lstrip('_')}={x!r}" for k, x in sorted(held.items()) if _is_plain(x)]
    path = f"{type(value).__module__}.{type(value).__qualname__}"
    return f"{path}({', '.join(plain)})" if plain else path


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str))


def leaves(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values of nested dicts and lists; empty ones count as values.

    Args:
        data: nested dicts and lists.
        key: prefix of the keys.
    """
    if not isinstance(data, dict | list) or not data:
        yield key, data
        return
    for name, child in data.items() if isinstance(data, dict) else enumerate(data):
        yield from leaves(child, f"{key}.{name}" if key else str(name))


def differing(one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """Return both values of all `leaves` that differ, outermost keys first; None if missing."""
    first, second = dict(leaves(one)), dict(leaves(other))
    pairs = {key: (first.get(key), second.get(key)) for key in first | second}
    # Outermost first, because others may refer to them.
    keys = sorted((key for key, (a, b) in pairs.items() if a != b), key=lambda key: key.count("."))
    return {key: pairs[key] for key in keys}


def git_state(folder: Path = _PACKAGE) -> dict[str, Any] | None:
    """Return the commit of the checkout that contains `folder`, and whether it has changes.

    Returns:
        `{"commit": hash, "dirty": bool}`; None without git, or if the folder is not tracked, as in
        an installed package.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(folder, "rev-parse", "--verify", "HEAD").strip()
        # Of the whole checkout, because configs and tools also affect results.
        top = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        changes = _git(top, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}


def versions() -> dict[str, str]:
    """Return the versions of this package, Detectron2 and torch."""
    modules = (langdg_d2, detectron2, torch)
    return {module.__name__: str(module.__version__) for module in modules}


def environment() -> dict[str, str]:
    """Describe Python, libraries, system, processor, GPUs, and numbers of threads and processes."""
    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else []
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": str(len(affinity(0)) if affinity else os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "GPUs": ", ".join(devices) or "none",
        "processes": str(comm.get_world_size()),
    }


def _git(folder: Path, *arguments: str) -> str:
    # Without optional locks, `status` does not write to the user's checkout.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    completed = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS
    )
    return completed.stdout
