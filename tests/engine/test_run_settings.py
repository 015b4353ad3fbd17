"""What a run may go on with, and what it takes over from the earlier one."""

import logging
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.engine import (
    RunSettings,
    SegmentationTrainer,
    load_config,
    training_differences,
    training_facts,
)
from langdg_d2.engine.hooks import LRScheduler
from langdg_d2.engine.optimization import resumed_state
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.provenance import plain_data

SETTINGS = {
    "train": {"max_iter": 10, "accumulate": 1, "seed": 1, "output_dir": "a"},
    "optimizer": {"_target_": "torch.optim.sgd.SGD", "lr": 0.1},
    "model": {"backbone": {"trainable": ["layer4.2"]}},
    "dataloader": {"train": {"total_batch_size": 8, "dataset": {"names": "gta5"}}},
    "evaluation": {"domains": ["a"]},
}


def changed(key, value, settings=SETTINGS):
    settings = {name: dict(part) for name, part in settings.items()}
    *parents, last = key.split(".")
    node = settings
    for name in parents:
        node[name] = dict(node.get(name, {}))
        node = node[name]
    node[last] = value
    return settings


def go_on(settings, *, iteration=4, earlier=SETTINGS):
    checkpoint = {
        "trainer": {"iteration": iteration},
        "settings": RunSettings(earlier).state_dict(),
    }
    RunSettings(settings).require_continuation("a/model.pth", checkpoint)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("optimizer.lr", 0.001, "optimizer.lr 0.1 -> 0.001"),
        ("train.max_iter", 20, "train.max_iter 10 -> 20"),
        ("train.seed", 2, "train.seed 1 -> 2"),
        ("train.output_dir", "b", ""),
        ("evaluation.domains", ["b"], ""),
        ("train.new_option", 0, "train.new_option None -> 0"),
        ("optimizer._target_", "torch.optim.SGD", ""),  # as a config in YAML has it
    ],
)
def test_what_is_new_is_said_in_one_line(caplog, key, value, said):
    caplog.set_level(logging.INFO)
    go_on(changed(key, value))
    expected = [f"Changed since the earlier run: {said}"] if said else []
    assert [record.getMessage() for record in caplog.records] == expected


def test_settings_of_mining_do_not_change_a_run(caplog):
    caplog.set_level(logging.INFO)
    fewer, more = ({**SETTINGS, "styles": {"mining": {"num_workers": n}}} for n in (2, 4))
    go_on(more, iteration=4, earlier=fewer)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "model.backbone.trainable",
            ["layer4.2", "layer3"],
            r"trainable\.1 was None and is 'layer3",
        ),
        (
            "dataloader.train.dataset.names",
            ["gta5", "synthia"],
            r"names\.1 was None and is 'synthia'",
        ),
        ("model.backbone.trainable", ["layer4"], r"trainable\.0 was 'layer4\.2' and is 'layer4'"),
        ("dataloader.train.dataset.names", "synthia", r"names\.0 was 'gta5' and is 'synthia'"),
        ("dataloader.train.total_batch_size", 4, "had 8 images .* and would have 4.*product"),
        ("train.max_iter", 4, "is at iteration 5 of 4, so these changes have no effect"),
        ("train.init_checkpoint", "a.pth", r"init_checkpoint was None and is 'a\.pth'"),
    ],
)
def test_what_the_state_does_not_fit_is_refused_by_name(key, value, said):
    with pytest.raises(LangDGError, match=f"--resume: .*{said}"):
        go_on(changed(key, value))


def test_what_changed_on_resumption_is_remembered():
    first = RunSettings(changed("optimizer.lr", 0.1))
    second = RunSettings(changed("optimizer.lr", 0.01))
    for earlier, run in ((first, second), (second, RunSettings(changed("optimizer.lr", 0.01)))):
        checkpoint = {"trainer": {"iteration": 4}, "settings": earlier.state_dict()}
        run.require_continuation("a.pth", checkpoint)
        run.load_state_dict(earlier.state_dict())
        assert run.changed == ["optimizer.lr 0.1 -> 0.01 after 5 iterations"]


def test_other_images_under_the_same_name_are_refused():
    def settings(*names):
        return RunSettings(SETTINGS, [{"file_name": f"/data/{name}.png"} for name in names])

    def resume(run, earlier):
        checkpoint = {"trainer": {"iteration": 4}, "settings": earlier.state_dict()}
        run.require_continuation("a.pth", checkpoint)

    resume(settings("a", "b"), settings("a", "b"))
    for others in (("a",), ("b", "a"), ("a", "c")):
        with pytest.raises(
            LangDGError, match=r"dataset.images was '2 images, \w+' and is '\d images, "
        ):
            resume(settings(*others), settings("a", "b"))


def test_other_labels_of_the_same_images_are_refused(datasets, tmp_path):
    def settings():
        return RunSettings(SETTINGS, FAMILIES["gta5"].load(tmp_path, "train"))

    shutil.copytree(datasets / "gta5", tmp_path / "gta5")
    earlier = settings().state_dict()
    checkpoint = {"trainer": {"iteration": 4}, "settings": earlier}
    settings().require_continuation("a.pth", checkpoint)
    label = tmp_path / "gta5/labels/00001.png"
    label.write_bytes(label.read_bytes() + b"!")
    with pytest.raises(
        LangDGError, match=r"images was '4 images, \w+, labels \w+' and is '4 images"
    ):
        settings().require_continuation("a.pth", checkpoint)


def test_smaller_batches_of_the_same_product_are_resumed():
    settings = changed("dataloader.train.total_batch_size", 4)
    settings["train"] = settings["train"] | {"accumulate": 2}
    go_on(settings)


def test_nothing_is_recorded_that_no_iteration_used(caplog):
    caplog.set_level(logging.INFO)
    go_on(SETTINGS, iteration=9)
    assert "All 10 iterations are done" in caplog.text
    with pytest.raises(LangDGError, match=r"no effect: optimizer.lr 0\.1 -> 0\.2\. Increase train"):
        go_on(changed("optimizer.lr", 0.2), iteration=9)
    with pytest.raises(LangDGError, match=r"no effect: optimizer.lr 0\.1 -> None"):
        go_on(changed("optimizer.lr", {"head": 0.1}), iteration=9)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.dilation", 2, "model.dilation None -> 2"),
        ("model.backbone.trainable", [], None),  # nothing trains in an evaluation
        ("optimizer.lr", 3.0, "optimizer.lr 0.1 -> 3.0"),
        ("train.seed", 2, None),
        ("train.init_checkpoint", "best.pth", None),
        ("dataloader.train.dataset.names", "synthia", "names.0 'gta5' -> 'synthia'"),
        ("dataloader.train.dataset.names", ["gta5"], None),
        ("dataloader.train.dataset.names", ["gta5", "synthia"], "names.1 None -> 'synthia'"),
        ("model.stride", 8, "model.stride 16 -> 8"),
    ],
)
def test_an_evaluation_as_it_was_not_trained_is_warned_of(key, value, said, caplog):
    earlier = changed("model.stride", 16)
    settings = changed("model.stride", 16)
    settings = changed(key, value, settings)
    content = {"settings": RunSettings(earlier).state_dict()}
    RunSettings(settings).warn_of_other_training("a/model.pth", content)
    RunSettings(settings).warn_of_other_training("a/model.pth", {})
    if said is None:
        assert not caplog.messages
    else:
        (message,) = caplog.messages
        assert said in message


def test_a_tower_is_known_by_the_content_of_its_file(caplog, tmp_path):
    for folder, content in (("a", "{}"), ("b", "{}"), ("c", "{1}")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "small.json").write_text(content)

    def content(name):
        return {
            "settings": RunSettings(changed("model.backbone.tower", {"name": name})).state_dict()
        }

    settings = RunSettings(changed("model.backbone.tower", {"name": f"{tmp_path}/b/small.json"}))
    settings.warn_of_other_training("a.pth", content(f"{tmp_path}/a/small.json"))
    assert not caplog.messages
    settings.warn_of_other_training("a.pth", content("RN50"))
    assert "tower.name 'RN50' -> 'small.json (" in caplog.text
    caplog.clear()
    settings.warn_of_other_training("a.pth", content(f"{tmp_path}/c/small.json"))
    assert "tower.name 'small.json (" in caplog.text


def test_weights_alone_are_no_run_to_go_on_with():
    with pytest.raises(
        LangDGError, match=r"'a\.pth' has only weights and cannot be.*train\.init_checkpoint"
    ):
        RunSettings(SETTINGS).require_continuation("a.pth", {"model": {}})


class Model(nn.Linear):
    def forward(self, batch):
        return {"loss": (super().forward(batch) - 1).square().mean()}


def trainer(**settings):
    torch.manual_seed(0)
    model = Model(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **settings)
    found = SegmentationTrainer(model=model, loader=[torch.ones(1, 1)] * 9, optimizer=optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(found.optimizer, step_size=2, gamma=0.5)
    found.register_hooks([LRScheduler(found.optimizer, schedule)])
    return found


def test_momenta_are_resumed_and_all_settings_are_the_runs_own():
    first = trainer(momentum=0.9)
    first.train(0, 3)
    state = first.state_dict()
    second = trainer(momentum=0.5, weight_decay=0.25, nesterov=True)
    second.load_state_dict({**state, "iteration": 2})
    (group,) = second.optimizer.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.5, 0.25, True)
    for number, parameter in enumerate(group["params"]):
        momentum = second.optimizer.state[parameter]["momentum_buffer"]
        assert torch.equal(momentum, state["optimizer"]["state"][number]["momentum_buffer"])


def test_any_schedule_goes_on_as_an_unbroken_one():
    unbroken, resumed = trainer(), trainer()
    unbroken.train(0, 5)
    resumed.train(3, 5)
    for each in (unbroken, resumed):
        assert each.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**2)
    assert resumed.storage.history("lr").values()[0] == (pytest.approx(0.05), 3)


def test_a_second_training_goes_on_with_the_schedule():
    twice = trainer()
    twice.train(0, 3)
    assert twice.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5)
    twice.train(3, 5)
    assert twice.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer._target_", "torch.optim.adamw.AdamW"),
        ("optimizer.amsgrad", True),
        ("optimizer.centered", True),
    ],
)
def test_an_optimizer_that_needs_other_state_is_refused(key, value):
    with pytest.raises(
        LangDGError, match=f"--resume: {key} was .* and is {value!r}, which does not fit"
    ):
        go_on(changed(key, value))


def test_other_parameter_groups_are_refused():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    two = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:]}], lr=0.1)
    other = torch.optim.SGD([{"params": weights[:2]}, {"params": weights[2:]}], lr=0.1)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        other.load_state_dict(resumed_state(other, two.state_dict()))
    with pytest.raises(ValueError, match="zip"):
        resumed_state(torch.optim.SGD(weights, lr=0.1), two.state_dict())


def test_sources_of_the_weights_are_remembered_along_a_chain():
    first = RunSettings(changed("dataloader.train.dataset.names", ["a", "b"]))
    second = RunSettings(changed("dataloader.train.dataset.names", "b"))
    second.begin_with({"settings": first.state_dict()})
    assert second.sources == ["b", "a"]
    third = RunSettings(changed("dataloader.train.dataset.names", "c"))
    third.begin_with({"settings": second.state_dict()})
    assert third.sources == ["c", "a", "b"]
    resumed = RunSettings(changed("dataloader.train.dataset.names", "c"))
    resumed.require_continuation(
        "c.pth", {"trainer": {"iteration": 4}, "settings": third.state_dict()}
    )
    resumed.load_state_dict(third.state_dict())
    assert resumed.sources == ["c", "a", "b"]
    third.begin_with({})  # weights alone do not say
    assert third.sources == ["c"]


def test_what_sources_lack_is_remembered_along_a_chain():
    first = RunSettings(SETTINGS, incomplete={"a": "3 of 10 images"})
    second = RunSettings(SETTINGS, incomplete={"b": "4 of 10 images"})
    second.begin_with({"settings": first.state_dict()})
    assert second.incomplete == {"a": "3 of 10 images", "b": "4 of 10 images"}
    evaluated = RunSettings(SETTINGS)
    evaluated.begin_with({"settings": second.state_dict()})
    assert evaluated.incomplete == second.incomplete
    resumed = RunSettings(SETTINGS, incomplete={"b": "5 of 10 images"})
    resumed.load_state_dict(second.state_dict())
    assert resumed.incomplete == {"a": "3 of 10 images", "b": "5 of 10 images"}


def test_a_checkpoint_tells_how_far_its_training_was():
    settings = RunSettings({"train": {"max_iter": 6}}).state_dict()
    content = {"trainer": {"iteration": 1}, "settings": settings}
    assert training_facts(content)["progress"] == (2, 6)
    of_weights = training_facts({"model": {}, "settings": settings})
    assert of_weights["progress"] is None
    assert training_facts({"trainer": {"iteration": 1}})["progress"] is None


def test_a_resumed_run_begins_with_the_content_it_began_with(tmp_path):
    for folder, content in (("a", b"1"), ("b", b"2"), ("copy", b"1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model_final.pth").write_bytes(content)
    first = changed("train.init_checkpoint", f"{tmp_path}/a/model_final.pth")
    go_on(changed("train.init_checkpoint", f"{tmp_path}/copy/model_final.pth"), earlier=first)
    with pytest.raises(LangDGError, match=r"init_checkpoint was 'model_final\.pth \("):
        go_on(changed("train.init_checkpoint", f"{tmp_path}/b/model_final.pth"), earlier=first)


def test_a_checkpoint_tells_its_seed():
    earlier = RunSettings(changed("train.seed", 2)).state_dict()
    assert training_facts({"settings": earlier})["seed"] == 2
    assert training_facts({})["seed"] is None


def test_weights_of_unknown_training_are_warned_of(caplog):
    RunSettings(SETTINGS).begin_with({})
    assert "has no record of its training data" in caplog.text


@pytest.mark.parametrize(
    ("key", "one", "other", "differ"),
    [
        ("train.seed", 1, 2, False),
        ("dataloader.train.seed", 1, 2, False),
        ("train.init_checkpoint", "", "a.pth", True),
        ("train.init_checkpoint", "seed1.pth", "seed2.pth", False),
        ("model.backbone.tower.weights", "a.pt", "b.pt", True),
        ("model.head._target_", "torch.nn.SiLU", "torch.nn.modules.activation.SiLU", False),
        ("model.head._target_", "torch.nn.modules.loss.L1Loss", "torch.nn.L1Loss", False),
        ("model.head._target_", "torch.gone.sgd.SGD", "torch.optim.SGD", False),
        ("model.head._target_", "torch.nn.Linear", "torch.nn.Conv2d", True),
        ("model.head._target_", "torch.nn.Linear", "mine.Linear", True),
    ],
)
def test_trainings_are_alike_but_for_seeds_and_places(key, one, other, differ):
    states = [RunSettings(changed(key, value)).state_dict() for value in (one, other)]
    assert (key in training_differences(*states)) == differ


def test_trainings_on_other_images_are_not_alike():
    dataset = [{"file_name": f"/data/{k}.png"} for k in range(3)]
    states = [RunSettings(SETTINGS, part).state_dict() for part in (dataset, dataset[:2])]
    assert list(training_differences(*states)) == ["dataloader.train.dataset.images"]


def test_styles_from_elsewhere_are_a_source(tmp_path):
    settings = RunSettings(SETTINGS)
    before = settings.sources
    settings.add_source("cityscapes_sem_seg_train + mine")
    settings.add_source(before[0])  # those that are known count once
    assert settings.sources == [*before, "cityscapes_sem_seg_train", "mine"]
    resumed = RunSettings(SETTINGS)
    resumed.load_state_dict(settings.state_dict())
    assert resumed.sources == settings.sources


def test_the_same_config_in_another_folder_was_trained_alike(tmp_path):
    config = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
    one, other = (
        RunSettings(plain_data(load_config(config, [f"train.output_dir={tmp_path}/{name}"])))
        for name in "ab"
    )
    assert training_differences(one.state_dict(), other.state_dict()) == {}
    one.require_continuation("a.pth", {"trainer": {"iteration": 4}, "settings": other.state_dict()})
    one.load_state_dict(other.state_dict())
    assert one.changed == []


def test_what_a_checkpoint_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    settings = RunSettings({"model": {"_target_": "langdg_d2.modeling.LangDGSegmentor"}})
    checkpoint = {"settings": {"model._target_": "stranger.Segmentor"}}
    settings.warn_of_other_training("a.pth", checkpoint)
    assert "stranger" not in sys.modules


def test_the_machine_makes_no_other_training():
    gpu, cpu = (
        RunSettings({"optimizer": {"lr": 1, "fused": x}, "train": {"cudnn_benchmark": x}})
        for x in (True, False)
    )
    assert not training_differences(gpu.state_dict(), cpu.state_dict())
