"""What a check found, as text to read in a terminal."""

from collections.abc import Sequence

from tabulate import tabulate

from ...structures import CITYSCAPES_19
from .copies import SplitReport
from .findings import Finding, Problem

_INDENT = "    "


def findings_text(report: SplitReport, *, examples: int = 3) -> str:
    """Every finding of a split: how often, where, and what to do about it.

    Args:
        report: of the split.
        examples: how many files to name of each kind of problem.
    """
    count = sum(not finding.is_note for finding in report.findings)
    verdict = "no problem found" if count == 0 else f"{count} kind{'s' * (count > 1)} of problem"
    looked_at = f"{report.listed:,} {report.noun}, {len(report.records):,} looked at"
    head = f"{report.name}: {looked_at}: {verdict}"
    return "\n".join([head, *(_finding_text(one, examples) for one in report.findings)])


def shares_table(reports: Sequence[SplitReport]) -> str:
    """Share of the pixels of each class, a row per class and a column per split.

    Splits whose labels were not read are left out; empty if that holds for all.
    """
    columns: dict[str, list[str]] = {}
    never: list[str] = []
    for report in reports:
        total = report.pixel_counts.sum()
        if total == 0:
            continue
        columns[report.name] = [
            f"{share:.3f}" if share else "never" for share in 100 * report.pixel_counts / total
        ]
        lacking = [
            name
            for name, count in zip(CITYSCAPES_19.names, report.pixel_counts, strict=False)
            if count == 0
        ]
        if lacking:
            never.append(f"{report.name} has no pixel of: {', '.join(lacking)}")
    if not columns:
        return ""
    rows = {"share of pixels in %": [*CITYSCAPES_19.names, "(no class)"]} | columns
    align = ("left", *["right"] * len(columns))
    table = tabulate(rows, headers="keys", disable_numparse=True, colalign=align)
    return "\n".join([table, *never])


def _finding_text(finding: Finding, examples: int) -> str:
    problems = finding.problems
    severity = finding.kind.severity.value.upper()
    lines = [f"  {severity}  {len(problems):,} x {finding.kind.title}"]
    lines += [_INDENT + _problem_text(problem) for problem in problems[:examples]]
    if len(problems) > examples:
        lines.append(f"{_INDENT}... and {len(problems) - examples:,} more")
    return "\n".join([*lines, f"{_INDENT}Remedy: {finding.remedy}"])


def _problem_text(problem: Problem) -> str:
    return ": ".join(part for part in (problem.path, problem.detail) if part)
