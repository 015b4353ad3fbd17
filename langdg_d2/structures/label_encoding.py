"""Tables that map the raw label ids of each data set to train ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from ..utils.errors import LangDGError
from .label_space import CITYSCAPES_19, CITYSCAPES_IDS

NO_COLOR = -1
_UNKNOWN = -1  # train id of values that are not raw ids
_RAW_VALUES = 1 << 8  # no data set has larger ids, not even in 16-bit files


@dataclass(frozen=True)
class LabelEncoding:
    """Encoding of one kind of label file: how its pixels map to train ids.

    Attributes:
        name: name in errors and dataset dicts.
        raw_to_train: train id (or the ignore label) of every valid raw id.
        channel: index of the channel (0 red, 1 green, 2 blue) that holds the ids in 16-bit colour
            files; None for 8-bit files of a single channel.
        raw_names: names of raw ids in the data set, where known.
        colors: RGB in 0..255 of raw ids in palette files; if empty, palettes are ignored and the
            indices are the ids.
        class_names: class names in the order of the train ids.
    """

    name: str
    raw_to_train: Mapping[int, int]
    channel: int | None = None
    raw_names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    class_names: tuple[str, ...] = CITYSCAPES_19.names

    def __hash__(self) -> int:
        return hash(self.name)  # the tables are dicts

    @property
    def num_classes(self) -> int:
        """Highest train id plus one; 0 without classes."""
        classes = set(self.raw_to_train.values()) - {CITYSCAPES_19.ignore_label}
        return max(classes, default=-1) + 1

    @cached_property
    def table(self) -> npt.NDArray[np.int16]:
        """(256,) train id of every 8-bit value; -1 for values that are not raw ids."""
        table = np.full(_RAW_VALUES, _UNKNOWN, np.int16)
        for raw, train in self.raw_to_train.items():
            table[raw] = train
        return table

    @cached_property
    def color_table(self) -> npt.NDArray[np.int64]:
        """(256, 3) colour of every 8-bit value; `NO_COLOR` for values without one."""
        table = np.full((_RAW_VALUES, 3), NO_COLOR)
        for raw, color in self.colors.items():
            table[raw] = color
        return table

    def decode(self, raw: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.uint8]:
        """Map raw label ids to train ids.

        Args:
            raw: (H, W) uint8 or uint16 ids as stored in the file.

        Returns:
            (H, W) uint8 train ids, a new array.

        Raises:
            LangDGError: if ids are not part of the encoding.
        """
        in_table = np.minimum(raw, _RAW_VALUES - 1)  # 16-bit ids must not wrap around
        train_ids = self.table[in_table]
        unknown = (train_ids == _UNKNOWN) | (raw != in_table)
        if unknown.any():
            raise LangDGError(
                f"label ids {np.unique(raw[unknown]).tolist()} are not in the '{self.name}' "
                f"encoding, which knows {sorted(self.raw_to_train)}"
            )
        return train_ids.astype(np.uint8)


_IGNORE = CITYSCAPES_19.ignore_label
_BLACK = (0, 0, 0)

# Ids of Cityscapes without a train class: name and colour.
_CITYSCAPES_VOID = {
    0: ("unlabeled", _BLACK),
    1: ("ego vehicle", _BLACK),
    2: ("rectification border", _BLACK),
    3: ("out of roi", _BLACK),
    4: ("static", _BLACK),
    5: ("dynamic", (111, 74, 0)),
    6: ("ground", (81, 0, 81)),
    9: ("parking", (250, 170, 160)),
    10: ("rail track", (230, 150, 140)),
    14: ("guard rail", (180, 165, 180)),
    15: ("bridge", (150, 100, 100)),
    16: ("tunnel", (150, 120, 90)),
    18: ("polegroup", (153, 153, 153)),
    29: ("caravan", (0, 0, 90)),
    30: ("trailer", (0, 0, 110)),
}


def _like_cityscapes(
    name: str, license_plate: int, **colors: tuple[int, int, int]
) -> LabelEncoding:
    """Cityscapes' ids, which data sets use with another id for licence plates or another colour."""
    void = _CITYSCAPES_VOID | {license_plate: ("license plate", (0, 0, 142))}
    return LabelEncoding(
        name,
        dict.fromkeys(sorted({*void, *CITYSCAPES_IDS}), _IGNORE)
        | {raw: k for k, raw in enumerate(CITYSCAPES_IDS)},
        raw_names={raw: raw_name for raw, (raw_name, _) in void.items()}
        | dict(zip(CITYSCAPES_IDS, CITYSCAPES_19.names, strict=True)),
        colors={raw: colors.get(raw_name, color) for raw, (raw_name, color) in void.items()}
        | dict(zip(CITYSCAPES_IDS, CITYSCAPES_19.colors, strict=True)),
    )


TRAIN_IDS = LabelEncoding(
    "train ids",
    {k: k for k in range(len(CITYSCAPES_19))} | {_IGNORE: _IGNORE},
    raw_names=dict(enumerate(CITYSCAPES_19.names)),
    colors=dict(enumerate(CITYSCAPES_19.colors)),
)
# Cityscapes gives licence plates the id -1, which an 8-bit file holds as 255.
CITYSCAPES_LABEL_IDS = _like_cityscapes("Cityscapes label ids", license_plate=255)
GTA5_LABEL_IDS = _like_cityscapes("GTA5 label ids", license_plate=34, static=(20, 20, 20))

# Name of each raw id in the data set, and its class (None: ignored).
_SYNTHIA: dict[int, tuple[str, str | None]] = {
    0: ("void", None),
    1: ("sky", "sky"),
    2: ("building", "building"),
    3: ("road", "road"),
    4: ("sidewalk", "sidewalk"),
    5: ("fence", "fence"),
    6: ("vegetation", "vegetation"),
    7: ("pole", "pole"),
    8: ("car", "car"),
    9: ("traffic sign", "traffic sign"),
    10: ("pedestrian", "person"),
    11: ("bicycle", "bicycle"),
    12: ("motorcycle", "motorcycle"),
    13: ("parking-slot", None),
    14: ("road-work", None),
    15: ("traffic light", "traffic light"),
    16: ("terrain", "terrain"),
    17: ("rider", "rider"),
    18: ("truck", "truck"),
    19: ("bus", "bus"),
    20: ("train", "train"),
    21: ("wall", "wall"),
    22: ("lanemarking", None),
}

# The same for Mapillary Vistas v1.2, with the colours of its label files; v2.0 has other classes.
_MAPILLARY: dict[int, tuple[str, str | None, tuple[int, int, int]]] = {
    0: ("animal--bird", None, (165, 42, 42)),
    1: ("animal--ground-animal", None, (0, 192, 0)),
    2: ("construction--barrier--curb", "sidewalk", (196, 196, 196)),
    3: ("construction--barrier--fence", "fence", (190, 153, 153)),
    4: ("construction--barrier--guard-rail", None, (180, 165, 180)),
    5: ("construction--barrier--other-barrier", None, (90, 120, 150)),
    6: ("construction--barrier--wall", "wall", (102, 102, 156)),
    7: ("construction--flat--bike-lane", None, (128, 64, 255)),
    8: ("construction--flat--crosswalk-plain", None, (140, 140, 200)),
    9: ("construction--flat--curb-cut", None, (170, 170, 170)),
    10: ("construction--flat--parking", None, (250, 170, 160)),
    11: ("construction--flat--pedestrian-area", None, (96, 96, 96)),
    12: ("construction--flat--rail-track", None, (230, 150, 140)),
    13: ("construction--flat--road", "road", (128, 64, 128)),
    14: ("construction--flat--service-lane", None, (110, 110, 110)),
    15: ("construction--flat--sidewalk", "sidewalk", (244, 35, 232)),
    16: ("construction--structure--bridge", None, (150, 100, 100)),
    17: ("construction--structure--building", "building", (70, 70, 70)),
    18: ("construction--structure--tunnel", None, (150, 120, 90)),
    19: ("human--person", "person", (220, 20, 60)),
    20: ("human--rider--bicyclist", "rider", (255, 0, 0)),
    21: ("human--rider--motorcyclist", "rider", (255, 0, 100)),
    22: ("human--rider--other-rider", "rider", (255, 0, 200)),
    23: ("marking--crosswalk-zebra", None, (200, 128, 128)),
    24: ("marking--general", "road", (255, 255, 255)),
    25: ("nature--mountain", None, (64, 170, 64)),
    26: ("nature--sand", None, (230, 160, 50)),
    27: ("nature--sky", "sky", (70, 130, 180)),
    28: ("nature--snow", None, (190, 255, 255)),
    29: ("nature--terrain", "terrain", (152, 251, 152)),
    30: ("nature--vegetation", "vegetation", (107, 142, 35)),
    31: ("nature--water", None, (0, 170, 30)),
    32: ("object--banner", None, (255, 255, 128)),
    33: ("object--bench", None, (250, 0, 30)),
    34: ("object--bike-rack", None, (100, 140, 180)),
    35: ("object--billboard", None, (220, 220, 220)),
    36: ("object--catch-basin", None, (220, 128, 128)),
    37: ("object--cctv-camera", None, (222, 40, 40)),
    38: ("object--fire-hydrant", None, (100, 170, 30)),
    39: ("object--junction-box", None, (40, 40, 40)),
    40: ("object--mailbox", None, (33, 33, 33)),
    41: ("object--manhole", "road", (100, 128, 160)),
    42: ("object--phone-booth", None, (142, 0, 0)),
    43: ("object--pothole", None, (70, 100, 150)),
    44: ("object--street-light", None, (210, 170, 100)),
    45: ("object--support--pole", "pole", (153, 153, 153)),
    46: ("object--support--traffic-sign-frame", None, (128, 128, 128)),
    47: ("object--support--utility-pole", "pole", (0, 0, 80)),
    48: ("object--traffic-light", "traffic light", (250, 170, 30)),
    49: ("object--traffic-sign--back", None, (192, 192, 192)),
    50: ("object--traffic-sign--front", "traffic sign", (220, 220, 0)),
    51: ("object--trash-can", None, (140, 140, 20)),
    52: ("object--vehicle--bicycle", "bicycle", (119, 11, 32)),
    53: ("object--vehicle--boat", None, (150, 0, 255)),
    54: ("object--vehicle--bus", "bus", (0, 60, 100)),
    55: ("object--vehicle--car", "car", (0, 0, 142)),
    56: ("object--vehicle--caravan", None, (0, 0, 90)),
    57: ("object--vehicle--motorcycle", "motorcycle", (0, 0, 230)),
    58: ("object--vehicle--on-rails", "train", (0, 80, 100)),
    59: ("object--vehicle--other-vehicle", None, (128, 64, 64)),
    60: ("object--vehicle--trailer", None, (0, 0, 110)),
    61: ("object--vehicle--truck", "truck", (0, 0, 70)),
    62: ("object--vehicle--wheeled-slow", None, (0, 0, 192)),
    63: ("void--car-mount", None, (32, 32, 32)),
    64: ("void--ego-vehicle", None, (120, 10, 10)),
    65: ("void--unlabeled", None, (0, 0, 0)),
}
# Where map B differs from map A.
_MAPILLARY_B: dict[int, str | None] = {
    7: "road",
    8: "road",
    9: "sidewalk",
    10: "road",
    11: "sidewalk",
    14: "road",
    23: "road",
    41: None,
    44: "pole",
    46: "traffic sign",
    49: "traffic sign",
}


_train_ids = {None: _IGNORE} | {name: k for k, name in enumerate(CITYSCAPES_19.names)}
# The first channel holds the class, the second the instance.
SYNTHIA_LABEL_IDS = LabelEncoding(
    "SYNTHIA label ids",
    {raw: _train_ids[class_name] for raw, (_, class_name) in _SYNTHIA.items()},
    channel=0,
    raw_names={raw: raw_name for raw, (raw_name, _) in _SYNTHIA.items()},
)
# RobustNet, FAMix and most others use map A, Rein and SoMA map B.
MAPILLARY_A = LabelEncoding(
    "Mapillary v1.2 label ids, map A",
    {raw: _train_ids[class_name] for raw, (_, class_name, _) in _MAPILLARY.items()},
    raw_names={raw: raw_name for raw, (raw_name, _, _) in _MAPILLARY.items()},
    colors={raw: color for raw, (_, _, color) in _MAPILLARY.items()},
)
MAPILLARY_B = replace(
    MAPILLARY_A,
    name="Mapillary v1.2 label ids, map B",
    raw_to_train={**MAPILLARY_A.raw_to_train}
    | {raw: _train_ids[class_name] for raw, class_name in _MAPILLARY_B.items()},
)
# UrbanSyn has a 20th id for pixels without a class, which converted copies replace by 255.
URBANSYN_TRAIN_IDS = replace(
    TRAIN_IDS,
    name="UrbanSyn train ids",
    raw_to_train={**TRAIN_IDS.raw_to_train, len(CITYSCAPES_19): _IGNORE},
    raw_names=dict(enumerate((*CITYSCAPES_19.names, "unlabeled"))),
)

ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        *(TRAIN_IDS, CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS, SYNTHIA_LABEL_IDS),
        *(MAPILLARY_A, MAPILLARY_B, URBANSYN_TRAIN_IDS),
    )
}


@lru_cache
def train_id_encoding(class_names: tuple[str, ...], ignore_label: int) -> LabelEncoding:
    """Return the encoding of standard Detectron2 data sets, whose labels are train ids.

    Args:
        class_names: class names in the order of the train ids.
        ignore_label: id of pixels without a class, above those of the classes, at most 255.
    """
    if class_names == CITYSCAPES_19.names and ignore_label == _IGNORE:
        return TRAIN_IDS
    if not len(class_names) <= ignore_label < _RAW_VALUES:
        raise LangDGError(
            f"metadata 'ignore_label' is {ignore_label}, expected a value of 8-bit label files "
            f"that is not one of the {len(class_names)} classes, {len(class_names)} to "
            f"{_RAW_VALUES - 1}; if ids start at 1, define a LabelEncoding"
        )
    train_ids = {k: k for k in range(len(class_names))} | {ignore_label: _IGNORE}
    return LabelEncoding("train ids", train_ids, class_names=class_names)
