"""The report by hand, of a folder that has nothing but a record."""

import pytest

from langdg_d2.evaluation import BenchmarkRun, write_benchmark


@pytest.fixture
def tool(load_tool):
    return load_tool("write_report")


def test_a_report_is_written_where_it_is_asked_for(tool, tmp_path, capsys):
    run = tmp_path / "run"
    write_benchmark({"fog": {"sem_seg": {"mIoU": 12.345}}}, BenchmarkRun(protocol="full"), run)
    tool.main([str(run)])
    assert "12.35" in (run / "report.html").read_text()
    page = tmp_path / "new/page.html"
    tool.main([str(run), "--output", str(page)])
    assert page.read_text() == (run / "report.html").read_text()
    assert capsys.readouterr().out.split() == [str(run / "report.html"), str(page)]


def test_mistakes_are_told_without_a_traceback(tool, tmp_path, capsys):
    with pytest.raises(SystemExit, match="train_net.py --eval-only"):
        tool.main([str(tmp_path)])
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path), "--output", "page.md"])
    assert "ends in .html" in capsys.readouterr().err
