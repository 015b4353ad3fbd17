"""Operations for drawing, printing, lenses and weather that looks consist of, see `color_steps`.

Lengths are in pixels of a crop.
"""

import cv2
import numpy as np

from streets.clip.color_steps import Step, blend, luminance
from streets.draws import Range
from streets.mesh import Color


def _scaled(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return image * cv2.merge([weight.astype(np.float32)] * 3)


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (H, 1) and columns (1, W) in pixels, float32."""
    height, width = image.shape[:2]
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]


def _edges(image: np.ndarray, width: float) -> np.ndarray:
    """Return the strength of outlines (H, W) float32 in 0..1."""
    grey = cv2.GaussianBlur(luminance(image), (0, 0), width)
    strength = cv2.magnitude(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    return np.clip(2.5 * strength - 0.15, 0, 1)


def ink(color: Color, amount: Range, width: Range = (0.6, 1.2)) -> Step:
    """Draw outlines in a colour."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        lines = rng.uniform(*amount) * _edges(image, rng.uniform(*width))
        drawn = cv2.merge([lines * np.float32(c) for c in color])
        return _scaled(image, 1 - lines) + drawn

    return step


def pencil(amount: Range) -> Step:
    """Imitate a pencil drawing: the grey image divided by its blur."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        grey = luminance(np.clip(image, 0, 1))
        drawing = np.clip(grey / (cv2.GaussianBlur(grey, (0, 0), rng.uniform(2, 5)) + 0.02), 0, 1)
        return blend(image, cv2.merge([drawing**1.5] * 3), rng.uniform(*amount))

    return step


def blur(sigma: Range) -> Step:
    """Blur the image; sigma in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(*sigma))

    return step


def smear(length: Range, degrees: Range) -> Step:
    """Blur along a direction; length in pixels, 0 degrees is horizontal."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = 2 * int(rng.uniform(*length) / 2) + 1
        kernel = np.zeros((size, size), np.float32)
        angle = np.deg2rad(rng.uniform(*degrees))
        reach = size / 2 * np.array([np.cos(angle), np.sin(angle)])
        start, end = (tuple(np.rint(size // 2 + s * reach).astype(int).tolist()) for s in (-1, 1))
        cv2.line(kernel, start, end, 1.0)
        return cv2.filter2D(image, -1, kernel / kernel.sum())

    return step


def stripes(period: Range, degrees: Range, amount: Range) -> Step:
    """Add soft dark lines, as in hatching, wood grain or screens; period in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = _grid(image)
        angle = np.deg2rad(rng.uniform(*degrees))
        place = np.sin(angle) * x + np.cos(angle) * y + 0.8 * np.sin(x / rng.uniform(6, 12))
        wave = np.sin(place * (2 * np.pi / rng.uniform(*period)) + rng.uniform(0, 6))
        return _scaled(image, 1 - rng.uniform(*amount) * (0.5 + 0.5 * wave))

    return step


def halftone(period: Range, amount: Range) -> Step:
    """Print in round dots that grow with darkness; period in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = _grid(image)
        k = 2 * np.pi / rng.uniform(*period)
        turn = rng.uniform(0, np.pi / 2)
        u = k * (np.cos(turn) * x + np.sin(turn) * y)
        v = k * (np.cos(turn) * y - np.sin(turn) * x)
        screen = 0.5 + 0.25 * (np.sin(u) + np.sin(v))
        dots = np.clip(4 * (luminance(image) - screen) + 0.5, 0.1, 1)
        return blend(image, _scaled(0.35 + 0.65 * image, dots), rng.uniform(*amount))

    return step


def mosaic(size: Range, lead: Range) -> Step:
    """Draw panes of one colour with dark frames; size in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        cell = rng.uniform(*size)
        counts = (max(int(width / cell), 2), max(int(height / cell), 2))
        small = cv2.resize(image, counts, interpolation=cv2.INTER_AREA)
        panes = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        frames = _edges(panes, 0.6)
        return _scaled(blend(image, panes, 0.7), 1 - rng.uniform(*lead) * frames)

    return step


def strokes(reach: Range) -> Step:
    """Imitate brush strokes with short runs of nearby pixels; reach in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = _grid(image)
        height, width = image.shape[:2]
        moves = rng.standard_normal((height // 2 + 1, width // 4 + 1, 2), np.float32)
        moves = cv2.resize(moves, (width, height), interpolation=cv2.INTER_NEAREST)
        moves *= rng.uniform(*reach)
        return _moved(image, x + moves[..., 0], y + moves[..., 1])

    return step


def ripple(height: Range, period: Range) -> Step:
    """Distort with waves, like hot air; height and period in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = _grid(image)
        k = 2 * np.pi / rng.uniform(*period)
        size, phase = rng.uniform(*height), rng.uniform(0, 6, 2)
        return _moved(
            image, x + size * np.sin(k * y + phase[0]), y + size * np.sin(k * x + phase[1])
        )

    return step


def _moved(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    maps = [place.astype(np.float32) for place in np.broadcast_arrays(x, y)]
    return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def bloom(amount: Range, sigma: Range = (3.0, 8.0)) -> Step:
    """Add a glow around bright regions."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        bright = np.maximum(image - 0.5, 0)
        return image + 2 * rng.uniform(*amount) * cv2.GaussianBlur(
            bright, (0, 0), rng.uniform(*sigma)
        )

    return step


def vignette(amount: Range) -> Step:
    """Darken the image away from a random spot, as in a lens's corners or a cone of light."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = _grid(image)
        height, width = image.shape[:2]
        row, column = rng.uniform(0.35, 0.65, 2)
        distance = (x / width - column) ** 2 + (y / height - row) ** 2
        return _scaled(image, 1 - rng.uniform(*amount) * np.minimum(2.5 * distance, 1))

    return step


def grain(amount: Range, size: int = 1, color: bool = False) -> Step:
    """Add noise of a film or sensor or, with a larger size, the texture of paper."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        shape = (height // size + 1, width // size + 1, 3 if color else 1)
        noise = cv2.resize(rng.standard_normal(shape, np.float32), (width, height))
        noise *= rng.uniform(*amount)
        return image + (noise if color else cv2.merge([noise] * 3))

    return step


def scratches(count: Range) -> Step:
    """Add bright and dark vertical lines, as in a worn film."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scratched = image.copy()
        columns = rng.integers(0, image.shape[1], int(rng.uniform(*count)))
        scratched[:, columns] += rng.choice(np.float32([-0.35, 0.35]), (len(columns), 1))
        return scratched

    return step


def falling(count: Range, length: Range, color: Color, opacity: Range) -> Step:
    """Add streaks or flakes in the foreground; count per image, length in pixels."""

    def step(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        starts = rng.uniform((0, -5), (width, height), (int(rng.uniform(*count)), 2))
        way = np.array([rng.normal(0, 0.3), 1.0])
        ends = starts + way * rng.uniform(*length, (len(starts), 1))
        lines = np.rint(np.stack([starts, ends], axis=1)).astype(np.int32)
        cv2.polylines(mask, list(lines), False, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
        cover = mask.astype(np.float32) * np.float32(rng.uniform(*opacity) / 255)
        return _scaled(image, 1 - cover) + cv2.merge([cover * np.float32(c) for c in color])

    return step
