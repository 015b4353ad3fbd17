"""Label files: the ids that each kind of label file stores for the label ids of Cityscapes."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from langdg_d2.structures import CITYSCAPES_19, LabelEncoding
from langdg_d2.structures.label_encoding import GTA5_LABEL_IDS, MAPILLARY_A
from streets.classes import IGNORE, LABEL_ID, to_train_ids

_IDS = np.arange(max(LABEL_ID.values()) + 1, dtype=np.uint8)
_URBANSYN_UNLABELED = 19
# Names in Mapillary Vistas of classes that it splits, and of what is not scored.
_MAPILLARY_NAMES = {
    "road": "construction--flat--road",
    "sidewalk": "construction--flat--sidewalk",
    "pole": "object--support--pole",
    "rider": "human--rider--bicyclist",
    "ego vehicle": "void--ego-vehicle",
    "static": "object--trash-can",
}
_MAPILLARY_VOID = "void--unlabeled"


@dataclass(frozen=True)
class LabelFile:
    """A kind of label file, an 8-bit PNG.

    Attributes:
        raw_ids: stored id of every label id.
        palette: colours of all 256 ids as a flat RGB list, None for a grey image.
    """

    raw_ids: tuple[int, ...]
    palette: tuple[int, ...] | None = None

    def encode(self, label_ids: np.ndarray) -> bytes:
        """Encode label ids (H, W) as the content of a file."""
        image = Image.fromarray(np.asarray(self.raw_ids, np.uint8)[label_ids])
        if self.palette:
            image.putpalette(list(self.palette))
        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()


def mapillary_classes() -> list[dict[str, object]]:
    """Return the class list of Mapillary Vistas v1.2 as in its `config.json`, by id."""
    evaluated = set(_mapillary_ids())
    return [
        {"name": name, "color": list(MAPILLARY_A.colors[raw]), "evaluate": raw in evaluated}
        for raw, name in sorted(MAPILLARY_A.raw_names.items())
    ]


def _mapillary_ids() -> tuple[int, ...]:
    """Return a Mapillary id for each label id."""
    by_name = {name: raw for raw, name in MAPILLARY_A.raw_names.items()}
    by_class = {
        CITYSCAPES_19.names[train]: raw
        for raw, train in MAPILLARY_A.raw_to_train.items()
        if train != IGNORE
    }
    named = {name: by_name[theirs] for name, theirs in _MAPILLARY_NAMES.items()}
    chosen = by_class | named
    ids = np.full(len(_IDS), by_name[_MAPILLARY_VOID])
    for name, label_id in LABEL_ID.items():
        ids[label_id] = chosen.get(name, by_name[_MAPILLARY_VOID])
    return tuple(ids.tolist())


def _palette(encoding: LabelEncoding) -> tuple[int, ...]:
    """Return the colours of all 256 ids, black for ids that the data set lacks."""
    return tuple(np.maximum(encoding.color_table, 0).ravel().tolist())


_train_ids = to_train_ids(_IDS)
PALETTE_LABEL_IDS = LabelFile(tuple(_IDS.tolist()), _palette(GTA5_LABEL_IDS))
# Licence plates are -1 in Cityscapes, which is 255 in eight bits.
_plates = np.isin(_IDS, LABEL_ID["license plate"])
LABEL_IDS = LabelFile(tuple(np.where(_plates, IGNORE, _IDS).tolist()))
TRAIN_IDS = LabelFile(tuple(_train_ids.tolist()))
URBANSYN_IDS = LabelFile(
    tuple(np.where(_train_ids == IGNORE, _URBANSYN_UNLABELED, _train_ids).tolist())
)
MAPILLARY_IDS = LabelFile(_mapillary_ids(), _palette(MAPILLARY_A))
