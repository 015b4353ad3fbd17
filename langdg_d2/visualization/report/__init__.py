"""The report of a benchmark: a page and its Markdown, from the files in a results folder."""

import logging
from pathlib import Path

from detectron2.utils import comm

from ...evaluation.benchmark import RECORD
from ...utils.file_io import write_text
from ..html import page
from .conditions import lead, title
from .markdown import report_markdown
from .results_folder import read_results
from .sections import report_sections

__all__ = ["REPORT", "write_report", "write_report_of_run"]

REPORT = "report.html"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write one HTML page that needs no other file, and its Markdown beside it.

    What the folder lacks is left out. The same files at the same place give the same report, byte
    for byte.

    Args:
        folder: results of training or evaluation.
        output: file of the page, made with its folder; `report.html` in the folder if None.

    Returns:
        File of the page.

    Raises:
        BenchmarkFileError: if the folder has no benchmark's record, or a damaged one.
        OSError: if files cannot be read or written.
    """
    results = read_results(folder)
    output = output or folder / REPORT
    html = page(title(results), report_sections(results), lead=lead(results))
    text = report_markdown(results, output.parent)
    for path, content in ((output.with_suffix(".md"), text), (output, html)):
        write_text(path, content)
    return output


def write_report_of_run(folder: str | Path) -> None:
    """Write the report of a run that has just ended, on the main process, if it scored something.

    An error is logged, not raised: the scores are worth more than their picture.
    """
    if not comm.is_main_process() or not (Path(folder) / RECORD).is_file():
        return
    logger = logging.getLogger(__name__)
    try:
        logger.info("The report is in '%s'", write_report(Path(folder)))
    except Exception:  # whatever it is, the run itself succeeded
        logger.exception("No report of '%s'; tools/write_report.py writes it later", folder)
