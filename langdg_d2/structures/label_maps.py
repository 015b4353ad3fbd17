"""How the raw label ids of each data set map onto the train ids; the only such tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .label_space import CITYSCAPES_19, CITYSCAPES_IDS

_RAW_VALUES = 1 << 8  # of whatever depth the files are, no data set has larger ids


@dataclass(frozen=True)
class LabelEncoding:
    """How the pixels of one kind of label file become train ids.

    Attributes:
        name: how errors and dataset dicts refer to the encoding.
        raw_to_train: train id (or the ignore label) of every raw id that may occur.
        channel: which of red, green and blue (0, 1, 2) holds the ids in 16-bit colour files;
            None for 8-bit files of a single channel.
        raw_names: what the data set itself calls its raw ids, where that is known.
    """

    name: str
    raw_to_train: Mapping[int, int]
    channel: int | None = None
    raw_names: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def _table(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        train_ids = np.zeros(_RAW_VALUES, dtype=np.uint8)
        known = np.zeros(_RAW_VALUES, dtype=bool)
        for raw, train in self.raw_to_train.items():
            train_ids[raw], known[raw] = train, True
        return train_ids, known

    def decode(self, raw: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.uint8]:
        """Map raw label ids to train ids.

        Args:
            raw: (H, W) uint8 or uint16 ids as stored in the file.

        Returns:
            (H, W) uint8 train ids, a new array.

        Raises:
            ValueError: if an id is not part of the encoding; names the ids.
        """
        train_ids, known = self._table
        in_table = np.minimum(raw, _RAW_VALUES - 1)  # larger ids must not wrap around
        decoded, valid = train_ids[in_table], known[in_table] & (raw == in_table)
        if not valid.all():
            raise ValueError(
                f"label ids {np.unique(raw[~valid]).tolist()} are not in the '{self.name}' "
                f"encoding, which knows {sorted(self.raw_to_train)}"
            )
        return decoded


_LAST_CITYSCAPES_ID = 33
_GTA5_LICENSE_PLATE_ID = 34
_IGNORE = CITYSCAPES_19.ignore_label
_label_id_to_train = dict.fromkeys(range(_LAST_CITYSCAPES_ID + 1), _IGNORE) | {
    label_id: train_id for train_id, label_id in enumerate(CITYSCAPES_IDS)
}

_label_id_names = {
    0: "unlabeled",
    1: "ego vehicle",
    2: "rectification border",
    3: "out of roi",
    4: "static",
    5: "dynamic",
    6: "ground",
    9: "parking",
    10: "rail track",
    14: "guard rail",
    15: "bridge",
    16: "tunnel",
    18: "polegroup",
    29: "caravan",
    30: "trailer",
} | dict(zip(CITYSCAPES_IDS, CITYSCAPES_19.names, strict=True))

TRAIN_IDS = LabelEncoding(
    "train ids",
    {k: k for k in range(len(CITYSCAPES_19))} | {_IGNORE: _IGNORE},
    raw_names=dict(enumerate(CITYSCAPES_19.names)),
)
# Cityscapes gives licence plates the id -1, which an 8-bit file holds as 255.
CITYSCAPES_LABEL_IDS = LabelEncoding(
    "Cityscapes label ids",
    _label_id_to_train | {255: _IGNORE},
    raw_names=_label_id_names | {255: "license plate"},
)
GTA5_LABEL_IDS = LabelEncoding(
    "GTA5 label ids",
    _label_id_to_train | {_GTA5_LICENSE_PLATE_ID: _IGNORE},
    raw_names=_label_id_names | {_GTA5_LICENSE_PLATE_ID: "license plate"},
)

# Raw id: the data set's own name, and the class it counts as (None: ignored).
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

# Mapillary Vistas v1.2, in the order of its config file; v2.0 numbers other classes.
_MAPILLARY: dict[int, tuple[str, str | None]] = {
    0: ("animal--bird", None),
    1: ("animal--ground-animal", None),
    2: ("construction--barrier--curb", "sidewalk"),
    3: ("construction--barrier--fence", "fence"),
    4: ("construction--barrier--guard-rail", None),
    5: ("construction--barrier--other-barrier", None),
    6: ("construction--barrier--wall", "wall"),
    7: ("construction--flat--bike-lane", None),
    8: ("construction--flat--crosswalk-plain", None),
    9: ("construction--flat--curb-cut", None),
    10: ("construction--flat--parking", None),
    11: ("construction--flat--pedestrian-area", None),
    12: ("construction--flat--rail-track", None),
    13: ("construction--flat--road", "road"),
    14: ("construction--flat--service-lane", None),
    15: ("construction--flat--sidewalk", "sidewalk"),
    16: ("construction--structure--bridge", None),
    17: ("construction--structure--building", "building"),
    18: ("construction--structure--tunnel", None),
    19: ("human--person", "person"),
    20: ("human--rider--bicyclist", "rider"),
    21: ("human--rider--motorcyclist", "rider"),
    22: ("human--rider--other-rider", "rider"),
    23: ("marking--crosswalk-zebra", None),
    24: ("marking--general", "road"),
    25: ("nature--mountain", None),
    26: ("nature--sand", None),
    27: ("nature--sky", "sky"),
    28: ("nature--snow", None),
    29: ("nature--terrain", "terrain"),
    30: ("nature--vegetation", "vegetation"),
    31: ("nature--water", None),
    32: ("object--banner", None),
    33: ("object--bench", None),
    34: ("object--bike-rack", None),
    35: ("object--billboard", None),
    36: ("object--catch-basin", None),
    37: ("object--cctv-camera", None),
    38: ("object--fire-hydrant", None),
    39: ("object--junction-box", None),
    40: ("object--mailbox", None),
    41: ("object--manhole", "road"),
    42: ("object--phone-booth", None),
    43: ("object--pothole", None),
    44: ("object--street-light", None),
    45: ("object--support--pole", "pole"),
    46: ("object--support--traffic-sign-frame", None),
    47: ("object--support--utility-pole", "pole"),
    48: ("object--traffic-light", "traffic light"),
    49: ("object--traffic-sign--back", None),
    50: ("object--traffic-sign--front", "traffic sign"),
    51: ("object--trash-can", None),
    52: ("object--vehicle--bicycle", "bicycle"),
    53: ("object--vehicle--boat", None),
    54: ("object--vehicle--bus", "bus"),
    55: ("object--vehicle--car", "car"),
    56: ("object--vehicle--caravan", None),
    57: ("object--vehicle--motorcycle", "motorcycle"),
    58: ("object--vehicle--on-rails", "train"),
    59: ("object--vehicle--other-vehicle", None),
    60: ("object--vehicle--trailer", None),
    61: ("object--vehicle--truck", "truck"),
    62: ("object--vehicle--wheeled-slow", None),
    63: ("void--car-mount", None),
    64: ("void--ego-vehicle", None),
    65: ("void--unlabeled", None),
}
# Where map B departs from the above.
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


def _by_class_name(
    name: str, classes: Mapping[int, tuple[str, str | None]], channel: int | None = None
) -> LabelEncoding:
    train_ids = dict(zip(CITYSCAPES_19.names, range(len(CITYSCAPES_19)), strict=True))
    return LabelEncoding(
        name,
        {raw: _IGNORE if c is None else train_ids[c] for raw, (_, c) in classes.items()},
        channel,
        {raw: raw_name for raw, (raw_name, _) in classes.items()},
    )


# The first channel tells the class, the second tells instances apart.
SYNTHIA_LABEL_IDS = _by_class_name("SYNTHIA label ids", _SYNTHIA, channel=0)
# RobustNet, FAMix and most others use map A, Rein and SoMA map B.
MAPILLARY_A = _by_class_name("Mapillary v1.2 label ids, map A", _MAPILLARY)
MAPILLARY_B = _by_class_name(
    "Mapillary v1.2 label ids, map B",
    {raw: (name, _MAPILLARY_B.get(raw, c)) for raw, (name, c) in _MAPILLARY.items()},
)
# UrbanSyn has a 20th id for pixels without a class; its users often turn that into the usual 255.
URBANSYN_TRAIN_IDS = LabelEncoding(
    "UrbanSyn train ids",
    {**TRAIN_IDS.raw_to_train, len(CITYSCAPES_19): _IGNORE},
    raw_names=dict(enumerate((*CITYSCAPES_19.names, "unlabeled"))),
)

ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        TRAIN_IDS,
        CITYSCAPES_LABEL_IDS,
        GTA5_LABEL_IDS,
        SYNTHIA_LABEL_IDS,
        MAPILLARY_A,
        MAPILLARY_B,
        URBANSYN_TRAIN_IDS,
    )
}
