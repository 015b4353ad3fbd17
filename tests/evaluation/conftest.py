"""The figures that tests of tables and files share."""

import math

import pytest


@pytest.fixture
def scores() -> dict[str, dict[str, dict[str, float]]]:
    """Results of a source and two targets; each lacks other figures."""
    return {
        "fog": {"sem_seg": {"mIoU": 200 / 3, "pixel_accuracy": 90.0, "IoU-road": 80.0}},
        "gta": {
            "sem_seg": {
                "mIoU": 71.005,
                "mIoU_detectron2": 75.0,
                "pixel_accuracy": 95.0,
                "num_images": 12.0,
                "IoU-road": 90.0,
                "IoU-train": math.nan,
                "ACC-road": 99.0,
            }
        },
        "night": {"sem_seg": {"mIoU": 20.0, "pixel_accuracy": 50.0, "IoU-train": 10.0}},
    }
