"""Domains: the data set that each look is written as."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from streets.files import Naming
from streets.namings import (
    acdc_files,
    bdd100k_files,
    cityscapes_files,
    dark_zurich_files,
    gta5_files,
    idd_files,
    mapillary_files,
    urbansyn_files,
)


class Role(Enum):
    """Purpose of a domain."""

    SOURCE = "source"  # for training
    TARGET = "target"  # unseen, for reported results
    VALIDATION = "validation"  # unseen, for choosing hyperparameters, never reported


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A look that is stored in the layout of a data set.

    Attributes:
        name: name of the data set in evaluations, such as "acdc_fog".
        look: name in `looks.LOOKS`.
        files: file names of scenes.
        role: purpose of the domain.
        has_train: whether the layout has a separate training split.
    """

    name: str
    look: str
    files: Naming
    role: Role = Role.TARGET
    has_train: bool = True

    @property
    def folder(self) -> str:
        """Folder of the data set below the root, which several domains may share."""
        return self.files(Path(), "val", 1).image.parts[0]


# Scene numbers depend on the position in this list: only append to it.
DOMAINS = (
    Domain(name="gta5", look="clear", files=gta5_files, role=Role.SOURCE),
    Domain(name="cityscapes", look="other_city", files=cityscapes_files),
    *(
        Domain(name=f"acdc_{condition}", look=condition, files=acdc_files(condition))
        for condition in ("fog", "night", "rain", "snow")
    ),
    Domain(name="urbansyn", look="dusk", files=urbansyn_files, has_train=False),
    Domain(name="bdd100k", look="third_city", files=bdd100k_files),
    Domain(name="mapillary", look="noisy_camera", files=mapillary_files),
    Domain(name="idd", look="smoggy_industry", files=idd_files, role=Role.VALIDATION),
    Domain(
        name="dark_zurich",
        look="wet_evening",
        files=dark_zurich_files,
        role=Role.VALIDATION,
        has_train=False,
    ),
)
TARGET_LOOKS = tuple(domain.look for domain in DOMAINS if domain.role is Role.TARGET)
VALIDATION_LOOKS = tuple(domain.look for domain in DOMAINS if domain.role is Role.VALIDATION)
