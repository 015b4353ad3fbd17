"""Checks of data sets on disk: every problem at once, with the file and the remedy."""

from .copies import CopyCheck, SplitReport
from .report import findings_text, shares_table

__all__ = [
    "CopyCheck",
    "SplitReport",
    "findings_text",
    "shares_table",
]
