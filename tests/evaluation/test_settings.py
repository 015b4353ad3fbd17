"""Domains of a benchmark that make no sense are refused when it is built."""

import pytest
from detectron2.evaluation import DatasetEvaluator

from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.evaluation import Benchmark, BenchmarkRun
from langdg_d2.utils.errors import LangDGError

KNOWN = ["gta5", "cityscapes", "acdc_fog", "acdc_rain"]
SENSIBLE = {
    "domains": ["cityscapes", "acdc_fog"],
    "source": "gta5",
    "groups": {"acdc": ["acdc_fog", "acdc_rain"]},
    "published": "famix_rn50_gta5",
}


def build(*, domains, known=KNOWN, **settings) -> Benchmark:
    return Benchmark(
        run=BenchmarkRun(protocol="full", **settings),
        domains=domains,
        loaders={name: lambda name=name: [name] for name in known},
        evaluators={name: lambda: [DatasetEvaluator()] for name in known},
    )


def test_only_the_chosen_domains_are_built():
    scored = {"domains": ["gta5", "cityscapes"], "published": None}
    several = {"source": ["gta5", "cityscapes"]}
    for change in ({}, scored, {"source": None, "groups": {}}, several):
        settings = SENSIBLE | change
        benchmark = build(**settings)
        assert benchmark.loaders == {name: [name] for name in settings["domains"]}
        assert list(benchmark.evaluators) == settings["domains"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"domains": ["cityscape"]}, r"domains has unknown domains \['cityscape'\]; known are \["),
        ({"domains": "cityscapes"}, r"evaluation\.domains is 'cityscapes', expected a list"),
        ({"domains": []}, r"evaluation\.domains is \[\], expected a list with at least one"),
        ({"domains": ["gta5", "gta5"]}, r"is \['gta5', 'gta5'\], expected each domain only once"),
        ({"source": "GTA5"}, r"evaluation\.source has unknown domains \['GTA5'\]; known are \["),
        ({"source": ["gta5", "x"]}, r"evaluation\.source has unknown domains \['x'\]; known are"),
        ({"groups": {"mine": "gta5"}}, r"evaluation\.groups\.mine is 'gta5', expected a list"),
        ({"groups": {"acdc": ["acdc_nigth"]}}, r"groups\.acdc has unknown domains \['acdc_nigth"),
        ({"published": "famix_rn18"}, r"no published figures 'famix_rn18'"),
        (
            {"domains": ["mean of a"], "known": ["mean of a"]},
            "reserved for means over domains; rename them",
        ),
    ],
)
def test_senseless_settings_are_named(wrong, message):
    with pytest.raises(LangDGError, match=message):
        build(**SENSIBLE | wrong)


@pytest.mark.parametrize(
    ("domains", "source"),
    [
        (["mapillary", "cityscapes", "mapillary_b"], "gta5"),
        (["mapillary_b", "cityscapes"], "mapillary"),
        (["mapillary", "cityscapes"], ["gta5", "mapillary_b"]),
    ],
)
def test_the_same_images_count_once_and_never_as_unseen_beside_their_source(domains, source):
    settings = SENSIBLE | {"known": list(FAMILIES), "published": None, "groups": {}}
    with pytest.raises(LangDGError, match=r"'mapillary(_b)?' and 'mapillary(_b)?', .*remove one"):
        build(**settings | {"domains": domains, "source": source})
    for twin in ("mapillary", "mapillary_b"):
        one = [name for name in domains if not name.startswith("mapillary")]
        build(**settings | {"domains": [*one, twin], "source": twin})
        build(**settings | {"domains": [*one, twin], "source": "gta5"})
