"""What a part of the report is made of."""

from collections.abc import Mapping
from typing import NamedTuple

from ..html import Section


class Part(NamedTuple):
    """A section of the page, and its pictures as files.

    Attributes:
        section: of the page.
        files: content of PNG files by name.
    """

    section: Section
    files: Mapping[str, bytes] = {}
