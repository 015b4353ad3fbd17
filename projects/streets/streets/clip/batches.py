"""Batches for CLIP's training: crops in looks, captions, and which captions are true of which."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from langdg_d2.modeling.backbone.clip_loading import load_tokenizer
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from streets.clip.appearances import LOOK_NAMES, LOOKS, WORLD_LOOKS, appear
from streets.clip.captions import UNKNOWN, Meaning, draw_caption, meanings_of, truth
from streets.clip.crops import Pool, open_pool
from streets.draws import chance, pick


class Batch(NamedTuple):
    """One step's material.

    Attributes:
        images: (N, 3, S, S) uint8 RGB.
        tokens: (T, context length) of captions, each said once.
        truth: (N, T) int8, see `captions.truth`.
    """

    images: Tensor
    tokens: Tensor
    truth: Tensor


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """How batches are drawn.

    Attributes:
        images: in a batch.
        looks: named looks that occur in a batch: few, so that captions that differ in the class
            only or in the look only meet.
        plain_share: of images as they were rendered, with the class as the only caption.
        ramp: first all images are plain, and between these two steps their share falls to
            `plain_share`. In strong looks from the start classes are learned far more slowly.
        unnamed_share: of the other images in unnamed looks.
        seed: of all draws.
    """

    images: int = 64
    looks: int = 12
    plain_share: float = 0.25
    ramp: tuple[int, int] = (0, 0)
    unnamed_share: float = 0.35
    seed: int = 0


class PlaceIndex:
    """Finds boxes of a pool by class and rendered look.

    Raises:
        LangDGError: if a rendered look shows no class at all.
    """

    def __init__(self, pool: Pool) -> None:
        self._places: dict[tuple[int, str], np.ndarray] = {}
        self._classes: dict[str, list[int]] = {base: [] for base in WORLD_LOOKS}
        for base in WORLD_LOOKS:
            for class_id in range(len(CITYSCAPES_19)):
                places = pool.of_class(class_id, (base,))
                if len(places):
                    self._places[class_id, base] = places
                    self._classes[base].append(class_id)
            if not self._classes[base]:
                raise LangDGError(f"the pool shows nothing in '{base}'; it needs more scenes")

    def draw(self, base: str, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """A class, all that occur equally likely, and the scene and box number of an example."""
        class_id = pick(rng, self._classes[base])
        return class_id, pick(rng, self._places[class_id, base])

    def of_class(self, class_id: int, base: str) -> np.ndarray:
        """(M, 2) scene and box numbers; M may be 0."""
        return self._places.get((class_id, base), np.empty((0, 2), int))


class Batches(Dataset[Batch]):
    """Batch number k, always the same one; so training can stop and go on.

    Args:
        folder: of the pool.
        clip_name: name or JSON path of the architecture, for its tokenizer.
        settings: how to draw.
        sizes: side of the crops from a step on, such as `{0: 64, 1000: 96}`.
        steps: how many batches there are.
    """

    def __init__(
        self,
        *,
        folder: Path,
        clip_name: str,
        settings: BatchSettings,
        sizes: Mapping[int, int],
        steps: int,
    ) -> None:
        self._folder = folder
        self._clip_name = clip_name
        self._settings = settings
        self._sizes = sizes
        self._steps = steps

    # Opened in the process that uses it: memory maps would be copied on the way.
    @cached_property
    def _pool(self) -> Pool:
        return open_pool(self._folder)

    @cached_property
    def _index(self) -> PlaceIndex:
        return PlaceIndex(self._pool)

    @cached_property
    def _tokenizer(self):
        return load_tokenizer(name=self._clip_name)

    def _plain_share(self, step: int) -> float:
        start, end = self._settings.ramp
        done = min(max(step - start, 0) / max(end - start, 1), 1) if step < end else 1
        return 1 - done * (1 - self._settings.plain_share)

    def _draw(
        self, plain_share: float, chosen: list[int], size: int, rng: np.random.Generator
    ) -> tuple[int, int, np.ndarray]:
        """Class, look and crop of one image, whose look is one of the chosen or unknown."""
        plain = chance(rng, plain_share)
        unnamed = chance(rng, self._settings.unnamed_share)
        look = UNKNOWN if plain or unnamed else pick(rng, chosen)
        name = None if look == UNKNOWN else LOOK_NAMES[look]
        base = pick(rng, tuple(WORLD_LOOKS) if name is None else LOOKS[name].bases)
        class_id, place = self._index.draw(base, rng)
        crop = self._pool.cut(place, size, rng)
        return class_id, look, crop if plain else appear(crop, name, rng)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self._settings.seed, step])
        size = self._sizes[max(start for start in self._sizes if start <= step)]
        chosen = rng.choice(len(LOOK_NAMES), self._settings.looks, replace=False).tolist()
        shown, crops = [], []
        for _ in range(self._settings.images):
            class_id, look, crop = self._draw(self._plain_share(step), chosen, size, rng)
            crops.append(crop)
            shown.append(Meaning(class_id, look))
        said = meanings_of(shown)
        captions = [draw_caption(meaning, rng) for meaning in said]
        return Batch(
            images=torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2),
            tokens=self._tokenizer(captions),
            truth=torch.from_numpy(truth(shown, said)),
        )
