"""Surface textures: brightness patterns that repeat over a few metres, one per material.

The patterns are generated once per process from a fixed seed, because they belong to the renderer,
not to a scene.
"""

from functools import lru_cache

import cv2
import numpy as np

from streets.mesh import Material

TILE = 128  # samples per side; a power of two, so that a bit mask wraps indices
_SEED = 20_240_619


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Return periodic Gaussian noise (size, size), blurred by `sigma` samples, mean 0, std 1."""
    pad = int(3 * sigma) + 1
    grain = np.pad(rng.standard_normal((size, size), np.float32), pad, mode="wrap")
    smooth = np.asarray(cv2.GaussianBlur(grain, (0, 0), sigma))[pad:-pad, pad:-pad]
    return (smooth - smooth.mean()) / smooth.std()


def _asphalt(rng: np.random.Generator) -> np.ndarray:
    return (
        1
        + 0.05 * rng.standard_normal((TILE, TILE))
        + 0.035 * smooth_noise(rng, TILE, 2)
        + 0.04 * smooth_noise(rng, TILE, 14)
    )


def _rows(rng: np.random.Generator, height: int, width: int, joint: float) -> np.ndarray:
    """Return courses of blocks with dark joints, every other one shifted by half a block."""
    tile = np.ones((TILE, TILE), np.float32)
    for row in range(TILE // height):
        shift = (row % 2) * width // 2
        band = slice(row * height, (row + 1) * height)
        for column in range(TILE // width):
            cells = (np.arange(width) + column * width + shift) % TILE
            tile[band, cells] *= rng.normal(1, 0.07)
        tile[row * height] *= joint
        tile[band, np.arange(shift, TILE + shift, width) % TILE] *= joint
    return tile + 0.04 * rng.standard_normal((TILE, TILE))


def _plaster(rng: np.random.Generator) -> np.ndarray:
    stains = 0.05 * smooth_noise(rng, TILE, 20) + 0.03 * smooth_noise(rng, TILE, 4)
    return 1 + stains + 0.02 * rng.standard_normal((TILE, TILE))


def _grass(rng: np.random.Generator) -> np.ndarray:
    return (
        1
        + 0.16 * smooth_noise(rng, TILE, 1)
        + 0.08 * smooth_noise(rng, TILE, 4)
        + 0.08 * smooth_noise(rng, TILE, 16)
    )


def _foliage(rng: np.random.Generator) -> np.ndarray:
    return 1 + 0.24 * smooth_noise(rng, TILE, 1.6) + 0.2 * smooth_noise(rng, TILE, 5)


def _wood(rng: np.random.Generator) -> np.ndarray:
    grain = np.repeat(smooth_noise(rng, TILE, 1)[:1], TILE, axis=0)
    return 1 + 0.1 * grain + 0.05 * smooth_noise(rng, TILE, 3)


def _glass(rng: np.random.Generator) -> np.ndarray:
    return 1 + 0.28 * smooth_noise(rng, TILE, 12) + 0.08 * smooth_noise(rng, TILE, 3)


def _cloth(rng: np.random.Generator) -> np.ndarray:
    return 1 + 0.1 * smooth_noise(rng, TILE, 4)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    return _rows(rng, 8, 8, 0.72)


# Pattern, its side in metres, and the depth at which its contrast is 1/e.
_PATTERNS = {
    Material.SMOOTH: (lambda rng: np.ones((TILE, TILE)), 1.0, 1e6),
    Material.ASPHALT: (_asphalt, 5.0, 30.0),
    Material.PAVING: (lambda rng: _rows(rng, 16, 32, 0.74), 4.0, 16.0),
    Material.BRICK: (lambda rng: _rows(rng, 8, 16, 0.8), 2.2, 22.0),
    Material.PLASTER: (_plaster, 9.0, 80.0),
    Material.GRASS: (_grass, 4.0, 40.0),
    Material.FOLIAGE: (_foliage, 4.5, 70.0),
    Material.WOOD: (_wood, 1.6, 25.0),
    Material.GLASS: (_glass, 11.0, 120.0),
    Material.CLOTH: (_cloth, 0.9, 30.0),
    Material.TILES: (_tiles, 3.0, 35.0),
}


@lru_cache(maxsize=1)
def texture_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all patterns for lookup by material.

    Returns:
        Deviations from 1, flat float32 of len(Material) * TILE * TILE; samples per metre and
        fade depths, float32 by material.
    """
    rng = np.random.default_rng(_SEED)
    tiles = [np.asarray(_PATTERNS[m][0](rng), np.float32) - 1 for m in Material]
    density = np.array([TILE / _PATTERNS[m][1] for m in Material], np.float32)
    fade = np.array([_PATTERNS[m][2] for m in Material], np.float32)
    return np.stack(tiles).ravel(), density, fade


@lru_cache(maxsize=1)
def cloud_noise() -> np.ndarray:
    """Return periodic fractal noise (4 TILE, 4 TILE), mean 0, std 1."""
    rng = np.random.default_rng(_SEED + 1)
    octaves = [smooth_noise(rng, 4 * TILE, 48 / 2**k) * 0.55**k for k in range(5)]
    noise = np.sum(octaves, axis=0)
    return (noise / noise.std()).astype(np.float32)
