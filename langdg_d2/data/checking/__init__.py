"""Checks of data sets on disk: every problem at once, with the file and the remedy."""

from .copies import CopyCheck, SplitReport
from .findings import Finding, Kind, Problem, Severity
from .report import findings_text, shares_table

__all__ = [
    "CopyCheck",
    "Finding",
    "Kind",
    "Problem",
    "Severity",
    "SplitReport",
    "findings_text",
    "shares_table",
]
