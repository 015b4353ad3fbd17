"""Several source sets as one: their dataset dicts, and a mapper for each."""

import pytest
from detectron2.utils import comm

from langdg_d2.data import SourceMapper, evaluation_loader, source_dataset
from langdg_d2.utils.errors import LangDGError

GTA5, SYNTHIA = "gta5_sem_seg_train", "synthia_sem_seg_train"


def test_dataset_dicts_of_several_sources_name_their_own(datasets, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    both = source_dataset(names=[SYNTHIA, GTA5])
    assert [record["source"] for record in both] == [SYNTHIA] * 4 + [GTA5] * 4
    assert both[4:] == source_dataset(names=GTA5)
    assert all(record["source"].split("_")[0] in record["file_name"] for record in both)


@pytest.mark.parametrize("names", [[], [GTA5, GTA5]])
def test_no_source_and_the_same_twice_are_refused(names):
    with pytest.raises(
        LangDGError, match=r"dataset\.names are .*, expected one or more distinct names"
    ):
        source_dataset(names=names)


def test_sets_that_share_images_are_refused(datasets, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    with pytest.raises(LangDGError, match=r"00001\.png' is in both .*train' and .*all': name one"):
        source_dataset(names=[GTA5, "gta5_sem_seg_all"])


def test_unknown_source_is_named():
    with pytest.raises(LangDGError, match="gta6"):
        source_dataset(names=["gta6"])


def test_each_source_has_a_mapper_of_its_own():
    mapper = SourceMapper(a=lambda record: record | {"x": 1}, b=lambda record: record | {"x": 2})
    assert [mapper({"source": name})["x"] for name in "ab"] == [1, 2]
    with pytest.raises(
        LangDGError, match=r"source 'c' has no mapper, expected one of \['a', 'b'\]"
    ):
        mapper({"source": "c"})


def refuse_other_images(args):
    own = [{"file_name": f"/data/{k}.png"} for k in range(2 + comm.get_rank() * args.more)]
    if not args.more:
        evaluation_loader(dataset=own, mapper=dict)
        return
    with pytest.raises(LangDGError, match=r"find different images \(2 images, .*; 3 images, "):
        evaluation_loader(dataset=own, mapper=dict)


@pytest.mark.parametrize("more", [0, 1])
def test_processes_with_other_images_are_refused(in_two_processes, more):
    in_two_processes(refuse_other_images, more=more)
