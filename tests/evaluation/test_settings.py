"""Settings of a benchmark that make no sense are told before anything runs."""

import pytest

from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.evaluation import check_settings
from langdg_d2.utils.errors import LangDGError

SENSIBLE = {
    "domains": ["cityscapes", "acdc_fog"],
    "known": ["gta5", "cityscapes", "acdc_fog", "acdc_rain"],
    "source": "gta5",
    "groups": {"acdc": ["acdc_fog", "acdc_rain"]},
    "published": "famix_rn50_gta5",
    "inference": {"scales": [1.0, 0.5], "flip": True},
}


def test_sensible_settings_pass_whether_or_not_the_source_is_scored():
    scored = {"domains": ["gta5", "cityscapes"], "published": None}
    several = {"source": ["gta5", "cityscapes"]}
    for change in ({}, scored, {"source": None, "groups": {}}, several):
        assert check_settings(**SENSIBLE | change) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"domains": ["cityscape"]}, r"domains has unknown domains \['cityscape'\]; known are \["),
        ({"domains": "cityscapes"}, r"evaluation\.domains is 'cityscapes', expected a list"),
        ({"domains": []}, r"evaluation\.domains is \[\], expected a list with at least one"),
        ({"domains": ["gta5", "gta5"]}, r"names a domain twice: \['gta5', 'gta5'\]"),
        ({"source": "GTA5"}, r"evaluation\.source has unknown domains \['GTA5'\]; known are \["),
        ({"source": ["gta5", "x"]}, r"evaluation\.source has unknown domains \['x'\]; known are"),
        ({"groups": {"mine": "gta5"}}, r"evaluation\.groups\.mine is 'gta5', expected a list"),
        ({"groups": {"acdc": ["acdc_nigth"]}}, r"groups\.acdc has unknown domains \['acdc_nigth"),
        ({"published": "famix_rn18"}, r"no published figures 'famix_rn18'"),
        ({"inference": {"scales": 0.5}}, r"scales 0\.5; expected a list"),
        ({"inference": {"scales": [-1.0]}}, r"scales \[-1\.0\]; expected a list of factors above"),
        ({"inference": {"window": 32, "stride": [8, 8]}}, r"window 32; expected height and width"),
    ],
)
def test_senseless_settings_are_named(wrong, message):
    with pytest.raises(LangDGError, match=message):
        check_settings(**SENSIBLE | wrong)


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
    with pytest.raises(
        LangDGError, match=r"'mapillary(_b)?' and 'mapillary(_b)?', .*leave one out"
    ):
        check_settings(**settings | {"domains": domains, "source": source})
    for twin in ("mapillary", "mapillary_b"):
        one = [name for name in domains if not name.startswith("mapillary")]
        check_settings(**settings | {"domains": [*one, twin], "source": twin})
        check_settings(**settings | {"domains": [*one, twin], "source": "gta5"})
