"""The notebook, run in a kernel of its own."""

import re
from copy import deepcopy
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


def shown(cell: nbformat.NotebookNode) -> list[str]:
    """Texts below a cell, without decimals: their last digits are the machine's."""
    found = [out.data for out in cell.get("outputs", ()) if "data" in out]
    texts = (data.get("text/markdown", data["text/plain"]) for data in found)
    return [re.sub(r"-?\b\d+\.\d+| +", " ", text) for text in texts]


def test_tour_runs_its_claims_hold_and_outputs_are_the_committed_ones(tour, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fresh = deepcopy(tour)
    fresh.cells.append(nbformat.v4.new_code_cell(CLAIMS))
    place = {"metadata": {"path": str(TOUR.parent)}}
    client = NotebookClient(fresh, timeout=300, resources=place)
    # On a busy machine, that the kernel can tidy up before it is killed.
    client.create_kernel_manager().shutdown_wait_time = 60
    client.execute()
    assert list(map(shown, fresh.cells[:-1])) == list(map(shown, tour.cells))
    assert not list(tmp_path.glob("tour_*"))


def test_committed_outputs_are_of_one_whole_run_and_tell_no_times(tour):
    code = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert not [cell.id for cell in tour.cells if "execution" in cell.metadata]
