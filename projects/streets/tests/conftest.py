"""Makes the `streets` package importable and shares a small population of scenes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pytest
from streets.camera import Camera
from streets.cities import GAME_CITY, INDUSTRIAL_TOWN, OLD_TOWN, SUN_METROPOLIS
from streets.classes import to_train_ids
from streets.raster import rasterize
from streets.scenes import Scene, build_scene

SIZE = (96, 192)


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Sixty scenes of the source city."""
    return [build_scene(GAME_CITY, np.random.default_rng([1, k])) for k in range(60)]


def count_classes(scenes: list[Scene]) -> np.ndarray:
    """Pixels of every train class in every scene, (scenes, 256)."""
    counts = []
    for scene in scenes:
        raster = rasterize(scene.mesh, Camera.from_pose(scene.pose, SIZE), 1)
        label_of_face = np.append(23, scene.mesh.faces["label"]).astype(np.uint8)
        counts.append(np.bincount(to_train_ids(label_of_face[raster.ids]).ravel(), minlength=256))
    return np.array(counts)


@pytest.fixture(scope="session")
def class_counts(scenes: list[Scene]) -> np.ndarray:
    """Pixels of every train class in every scene of the source city."""
    return count_classes(scenes)


@pytest.fixture(scope="session", params=[OLD_TOWN, SUN_METROPOLIS, INDUSTRIAL_TOWN])
def unseen_city_counts(request: pytest.FixtureRequest) -> np.ndarray:
    """Pixels of every train class in forty scenes of another city."""
    return count_classes(
        [build_scene(request.param, np.random.default_rng([1, k])) for k in range(40)]
    )
