"""Contract of the data set and metadata catalogs."""

import copy
from operator import attrgetter

import pytest
from detectron2.data import DatasetCatalog, Metadata, MetadataCatalog

NAME = "contract_catalog"


@pytest.fixture(autouse=True)
def _forget_what_a_test_registers():
    yield
    DatasetCatalog.pop(NAME, None)
    MetadataCatalog.pop(NAME, None)


def test_the_loader_runs_at_every_get_and_not_at_registration():
    calls = []
    DatasetCatalog.register(NAME, lambda: calls.append(1) or len(calls))
    assert calls == []
    assert [DatasetCatalog.get(NAME) for _ in range(2)] == [1, 2]


def test_a_name_can_be_taken_once_until_it_is_removed():
    DatasetCatalog.register(NAME, lambda: [1])
    with pytest.raises(AssertionError, match=NAME):
        DatasetCatalog.register(NAME, lambda: [2])
    assert DatasetCatalog.get(NAME) == [1]
    assert DatasetCatalog.list()[-1] == NAME
    DatasetCatalog.remove(NAME)
    assert NAME not in DatasetCatalog.list()
    DatasetCatalog.register(NAME, lambda: [2])
    assert DatasetCatalog.get(NAME) == [2]


def test_only_functions_can_be_registered_and_only_known_names_asked_for():
    with pytest.raises(AssertionError):
        DatasetCatalog.register(NAME, [{"file_name": "a.png"}])
    DatasetCatalog.register(NAME, list)
    with pytest.raises(KeyError, match=f"no_such_set.*{NAME}"):
        DatasetCatalog.get("no_such_set")
    with pytest.raises(KeyError):
        DatasetCatalog.remove("no_such_set")


def test_metadata_of_a_name_is_one_object_made_at_first_request():
    assert NAME not in MetadataCatalog.list()
    metadata = MetadataCatalog.get(NAME)
    assert metadata.name == NAME
    assert MetadataCatalog.get(NAME) is metadata
    assert NAME in MetadataCatalog.list()
    MetadataCatalog.remove(NAME)
    assert MetadataCatalog.get(NAME) is not metadata
    with pytest.raises(AssertionError):
        MetadataCatalog.get("")


def test_an_attribute_is_set_once_and_again_only_to_an_equal_value():
    metadata = MetadataCatalog.get(NAME)
    metadata.stuff_classes = ["road", "sky"]
    metadata.stuff_classes = ["road", "sky"]
    with pytest.raises(AssertionError, match=f"stuff_classes.*{NAME}"):
        metadata.stuff_classes = ["road"]
    assert metadata.stuff_classes == ["road", "sky"]


def test_a_missing_attribute_names_itself_and_the_data_set_or_has_a_default():
    metadata = Metadata(name=NAME).set(ignore_label=255, evaluator_type="sem_seg")
    with pytest.raises(AttributeError, match="stuff_colors") as error:
        attrgetter("stuff_colors")(metadata)
    assert NAME in str(error.value)
    assert "ignore_label" in str(error.value)
    assert metadata.get("ignore_label") == 255
    assert metadata.get("stuff_colors") is None
    assert metadata.get("stuff_colors", []) == []


def test_metadata_can_be_copied_also_to_a_dict():
    metadata = Metadata(name=NAME).set(stuff_classes=["road"])
    twin = copy.deepcopy(metadata)
    assert twin == metadata
    assert twin.stuff_classes is not metadata.stuff_classes
    assert metadata.as_dict() == {"name": NAME, "stuff_classes": ["road"]}
    metadata.as_dict()["name"] = "other"
    assert metadata.name == NAME
