"""The notebook, run in a kernel of its own."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TOUR = Path(__file__).parents[2] / "docs/tour.ipynb"
# What the text between the cells says about the figures, in the notebook's own names.
CLAIMS = """
assert (bank.cosine_after > bank.cosine_before + 0.1).all()
share = ((restyled - features).abs().amax((2, 3)) < 1e-4).float().mean()  # of channels left alone
assert 0.1 < share < 0.9, share
assert sum(losses[-10:]) / 10 < 0.6 * losses[0]
assert all(metrics["pixel_accuracy"] > 50 for metrics in scores.values()), scores
"""


@pytest.fixture(scope="module")
def tour() -> nbformat.NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def test_tour_runs_and_its_claims_hold(tour):
    tour = tour.copy()
    tour.cells = [*tour.cells, nbformat.v4.new_code_cell(CLAIMS)]
    NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(TOUR.parent)}}).execute()


def test_committed_outputs_are_of_one_whole_run(tour):
    code = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
