"""Results folders, written by the real writers."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from langdg_d2.evaluation import BenchmarkRun, write_benchmark
from langdg_d2.evaluation.multi_domain import mean_over_targets
from langdg_d2.structures import CITYSCAPES_19

NAMES = CITYSCAPES_19.names


def random_details(
    rng: np.random.Generator, domain: str, classes: list[str], each_kind: int
) -> dict[str, Any]:
    """What evaluators tell of a domain; the last class has no pixels."""
    counts = rng.integers(0, 50_000, (len(classes), len(classes)))
    counts[-1] = 0
    images = [[f"{domain} {k}", *rng.uniform(0, 100, 2).tolist()] for k in range(7)]
    pictures = [
        {"file": f"{domain}_{kind}_{1 + k // 2}.jpg", "kind": kind, "image": image}
        | {"mIoU": miou, "pixel_accuracy": accuracy}
        for k, (kind, (image, miou, accuracy)) in enumerate(
            zip(["worst", "best"] * each_kind, images, strict=False)
        )
    ]
    colors = dict(zip(classes, map(list, CITYSCAPES_19.colors), strict=False))
    return {
        "classes": classes,
        "confusion": counts.tolist(),
        "images": [*images, [f"{domain} unlabelled", math.nan, math.nan]],
        "pictures": pictures,
        "colors": colors,
    }


def write_results(
    folder: Path,
    *,
    domains: tuple[str, ...] = ("gta5", "acdc_fog", "acdc_night"),
    classes: tuple[str, ...] = NAMES[:5],
    picture: bytes | None = None,
    each_kind: int = 1,
    **changes: Any,
) -> Path:
    """A results folder with everything, of random figures; the first domain is the source."""
    rng = np.random.default_rng(0)
    results = {}
    for domain in domains:
        table = {"mIoU": rng.uniform(0, 100), "mIoU_detectron2": math.nan, "num_images": 8.0}
        table |= {f"IoU-{name}": float(rng.uniform(0, 100)) for name in classes}
        results[domain] = {"sem_seg": table | {f"IoU-{classes[-1]}": math.nan}}
    results["mean"] = mean_over_targets(results, source=domains[0])
    details = {domain: random_details(rng, domain, list(classes), each_kind) for domain in domains}
    arguments = {
        "protocol": "full",
        "source": domains[0],
        "config_file": "configs/streets.py",
        "config": {"train": {"max_iter": 60, "seed": 7}, "list": [1, {"a": None}]},
        "seed": 7,
        "date": "2026-05-04T03:02:01+00:00",
        "sections": {"Styles": "Of `road`:\n\n| class | styles |\n|:---|---:|\n| road | 25 |"},
    }
    write_benchmark(results, BenchmarkRun(**(arguments | changes)), folder, details=details)
    write_metrics(folder, list(results))
    if picture is None:
        smooth = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None], (96, 64, 3))
        picture = cv2.imencode(".jpg", smooth)[1].tobytes()
    (folder / "overlays").mkdir()
    for found in details.values():
        for one in found["pictures"]:
            (folder / "overlays" / one["file"]).write_bytes(picture)
    return folder


def write_metrics(folder: Path, domains: list[str]) -> None:
    """Three evaluations in sixty iterations."""
    lines = []
    for k in range(60):
        loss = 1 / (k + 1)
        lines.append({"iteration": k, "total_loss": loss, "loss_sem_seg": loss, "lr": 0.1})
        if k % 20 == 19:
            scores = {f"{domain}/mIoU": k + 0.25 + i for i, domain in enumerate(domains)}
            lines.append({"iteration": k} | scores)
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.json").write_text(text)


@pytest.fixture(scope="session")
def make_results() -> Callable[..., Path]:
    """Function that writes a results folder."""
    return write_results
