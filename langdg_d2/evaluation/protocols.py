"""Test protocols, which define the scored images of a data set and their crops.

Papers differ in their protocols, whose scores must not be compared.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detectron2.data import transforms as T
from tabulate import tabulate

from ..data.corruptions import Corruption
from ..data.image_io import read_size
from ..data.sources import registered_dicts
from ..data.transforms import CenterCrop, FamixCropOrPad, PadToSize, ResizeToHeight
from ..structures import CITYSCAPES_19
from ..utils.errors import LangDGError

WHOLE = "every image whole, at its native size"


@dataclass(frozen=True, kw_only=True)
class DomainProtocol:
    """Rules of a protocol for a data set.

    Attributes:
        description: description for tables.
        augmentations: augmentations applied in order to image and label.
        kept_size: (height, width) in pixels of the scored images; None for all.
    """

    description: str
    augmentations: tuple[T.Augmentation, ...] = ()
    kept_size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A test protocol.

    Attributes:
        description: purpose of the protocol.
        domains: rules by family, for data sets that are not scored as they are.
    """

    description: str
    domains: Mapping[str, DomainProtocol] = field(default_factory=dict)


_ACDC = DomainProtocol(
    description="only the images of 1080x1920 pixels, whole", kept_size=(1080, 1920)
)
_GTA5 = DomainProtocol(
    description="centre crop to 1046x1914; what an image lacks is padded and ignored",
    augmentations=(
        PadToSize(size=(1046, 1914), label_fill=CITYSCAPES_19.ignore_label),
        CenterCrop(size=(1046, 1914)),
    ),
)
# NOTE: the authors label padding as road and score it, so that any other prediction on the black
# borders is an error. New protocols should pad with the ignore label.
_MAPILLARY = DomainProtocol(
    description="resized to height 1536 (bicubic, labels nearest), cut to 1536x1536 at the "
    "centre; portrait images are padded as the authors pad, off centre, and the padding is "
    "scored as road",
    augmentations=(
        ResizeToHeight(height=1536),
        FamixCropOrPad(size=(1536, 1536), label_fill=CITYSCAPES_19.names.index("road")),
    ),
)

PROTOCOLS: dict[str, Protocol] = {
    "full": Protocol(description="the honest default: every pixel with a label counts once"),
    "famix": Protocol(
        description="what FAMix's official code does, to compare with its published figures",
        domains={
            "acdc": _ACDC,
            "acdc_fog": _ACDC,
            "gta5": _GTA5,
            "mapillary": _MAPILLARY,
            "mapillary_b": _MAPILLARY,
        },
    ),
}


def protocol_augmentations(
    protocol: str, domain: str, corruption: str | None = None, severity: int = 1
) -> list[T.Augmentation]:
    """Return the augmentations of the test mapper for a data set.

    Args:
        protocol: name of a protocol.
        domain: family of the data set; images of families without a rule stay whole.
        corruption: key of `CORRUPTIONS`, applied first at native size; None for none.
        severity: severity of the corruption, 1 to 5.
    """
    # Corruptions come first, because they are defined on images at native size.
    corruptions = [Corruption(name=corruption, severity=severity)] if corruption else []
    return [*corruptions, *_domain_protocol(protocol, domain).augmentations]


def protocol_name(protocol: str, *, name: str | None, severity: int) -> str:
    """Return the name of a protocol for tables, with its corruption and severity."""
    return f"{protocol}, {name} {severity}" if name else protocol


def protocol_dataset(names: str, protocol: str, domain: str) -> list[dict[str, Any]]:
    """Return the dataset dicts of a registered data set that a protocol scores.

    Image sizes are read from the file headers if the protocol depends on them.

    Args:
        names: registered name of the data set.
        protocol: name of a protocol.
        domain: family of the data set.
    """
    kept_size = _domain_protocol(protocol, domain).kept_size
    records = registered_dicts(names)
    if kept_size is None:
        return records
    kept = [record for record in records if read_size(record["file_name"]) == kept_size]
    size = f"{kept_size[0]}x{kept_size[1]}"
    if not kept:
        raise LangDGError(
            f"protocol '{protocol}' scores only images of {size} pixels (height x width) in "
            f"'{names}', but none of its {len(records)} images has that size: use protocol 'full'"
        )
    if len(kept) < len(records):
        logging.getLogger(__name__).info(
            "%s: protocol '%s' scores %d of %d images, those of %s pixels",
            names,
            protocol,
            len(kept),
            len(records),
            size,
        )
    return kept


def protocol_table() -> str:
    """Format the rules of all protocols as a Markdown table."""
    rows = []
    for name, protocol in PROTOCOLS.items():
        grouped: dict[str, list[str]] = {}
        for domain, rule in protocol.domains.items():
            grouped.setdefault(rule.description, []).append(f"`{domain}`")
        rows += [(f"`{name}`", ", ".join(domains), text) for text, domains in grouped.items()]
        rows.append((f"`{name}`", "all others" if grouped else "all", WHOLE))
    return tabulate(rows, headers=("protocol", "data sets", "what is scored"), tablefmt="pipe")


def _domain_protocol(protocol: str, domain: str) -> DomainProtocol:
    if protocol not in PROTOCOLS:
        raise LangDGError(
            f"test protocol '{protocol}' is unknown; evaluation.protocol can be "
            + ", ".join(f"'{name}' ({preset.description})" for name, preset in PROTOCOLS.items())
        )
    return PROTOCOLS[protocol].domains.get(domain, DomainProtocol(description=WHOLE))
