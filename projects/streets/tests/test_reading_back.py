"""Written data sets through the project's own loaders: every layout, every label."""

from pathlib import Path

import numpy as np
import pytest
from streets.classes import to_train_ids
from streets.collection import Settings, generate, plan
from streets.domains import DOMAINS, TARGET_LOOKS, VALIDATION_LOOKS, Domain
from streets.sample import draw_sample

from langdg_d2.data.dataset_mapper import read_pair
from langdg_d2.data.datasets.builtin import FAMILIES

_EVERYTHING = Settings(
    height=64, width=128, seed=4, train=1, val=2, targets=2, target_train=1,
    looks=(*TARGET_LOOKS, *VALIDATION_LOOKS),
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of all looks."""
    folder = tmp_path_factory.mktemp("everything")
    generate(folder, _EVERYTHING)
    return folder


def _read(root: Path, name: str, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and train ids by the path of the image."""
    return {record["file_name"]: read_pair(record) for record in FAMILIES[name].load(root, split)}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_loaders_read_back_what_was_drawn(domain: Domain, root: Path) -> None:
    family = FAMILIES[domain.name]
    splits = [s for s in family.splits if s not in {"all", *family.unlabeled}] or ["all"]
    if domain.look in VALIDATION_LOOKS:
        splits = ["val"]
    read = {}
    for split in splits:
        read |= _read(root, domain.name, split)
    jobs = [job for job in plan(root, _EVERYTHING) if job.look == domain.look]
    assert {str(job.files.image) for job in jobs} == set(read)
    for job in jobs:
        drawn = draw_sample(seed=job.seed, look=job.look, index=job.index, size=job.size)
        image, train_ids = read[str(job.files.image)]
        np.testing.assert_array_equal(train_ids, to_train_ids(drawn.label_ids))
        if job.files.image.suffix == ".png":
            np.testing.assert_array_equal(image, drawn.image)
        else:
            assert np.abs(image.astype(float) - drawn.image).mean() < 4


def test_the_second_map_of_mapillary_reads_the_same_labels(root: Path) -> None:
    one, other = (_read(root, name, "val") for name in ("mapillary", "mapillary_b"))
    assert len(one) == 2
    for path, (_, train_ids) in one.items():
        np.testing.assert_array_equal(train_ids, other[path][1])
