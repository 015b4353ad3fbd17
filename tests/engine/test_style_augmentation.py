"""The hook: when the mixer is there, what is logged, and that a resumed run draws the same."""

import pytest
import torch
from detectron2.engine import SimpleTrainer
from torch import nn

from langdg_d2.engine import SeededIterations, StyleAugmentationHook
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import BetaWeights, NoiseStyles, PatchStyleMixer
from langdg_d2.utils.errors import LangDGError


class Segmentor(nn.Module):
    """The seam alone: features in, restyled features recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.backbone.restyle_activation = torch.relu
        self.weight = nn.Parameter(torch.ones(1))
        self.feature_augmentation = None
        self.seen: list = []

    def forward(self, batch):
        features, classes = batch
        if self.training:
            features = self.feature_augmentation(features, classes)
            self.seen.append(features.detach().clone())
        return {"loss": (self.weight * features).mean()}


def batch():
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(2, 4, 6, 6, generator=generator)
    return features, torch.zeros(2, 2, 2, dtype=torch.uint8)


def build(max_iter=6, **options):
    model = Segmentor()
    mixer = PatchStyleMixer(
        grid=PatchGrid(2, 2),
        styles=NoiseStyles(snr_db=3.0),
        weights=BetaWeights(a=0.5, b=0.5),
    )
    settings = {"probability": 1.0, "warmup_iters": 0, "log_period": 2}
    hook = StyleAugmentationHook(mixer=mixer, **settings | options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    trainer = SimpleTrainer(model, [batch()] * 50, optimizer)
    trainer.register_hooks([hook])
    return trainer, hook


def test_mixer_is_there_during_training_only_and_evaluation_does_not_use_it():
    trainer, hook = build()
    installed = []
    hook.after_step_plain = hook.after_step

    def look():
        installed.append(trainer.model.feature_augmentation is hook.mixer)
        before = hook.mixer.generator.get_state()
        trainer.model.eval()(batch())
        trainer.model.train()
        assert torch.equal(hook.mixer.generator.get_state(), before)
        hook.after_step_plain()

    hook.after_step = look
    trainer.train(0, 3)
    assert installed == [True] * 3
    assert trainer.model.feature_augmentation is None
    assert not any("augmentation" in name for name in trainer.model.state_dict())
    assert not torch.allclose(trainer.model.seen[0], batch()[0])


def test_resumed_run_draws_what_an_unbroken_one_draws():
    unbroken, _ = build()
    unbroken.train(0, 6)
    first, _ = build()
    first.train(0, 4)
    state = first.state_dict()
    second, _ = build()
    second.load_state_dict(state)
    second.train(4, 6)
    resumed = first.model.seen + second.model.seen
    assert len(resumed) == 6
    for found, expected in zip(resumed, unbroken.model.seen, strict=True):
        assert torch.equal(found, expected)


def drawn(seed, iterations=range(3)):
    trainer, _ = build()
    trainer._hooks.insert(0, SeededIterations(seed))
    trainer._hooks[0].trainer = trainer
    trainer.train(iterations.start, iterations.stop)
    return trainer.model.seen


def test_mixing_follows_the_seed_of_the_run():
    first = drawn(1)
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(1), strict=True))
    assert torch.equal(drawn(1, range(2, 3))[0], first[2])
    assert not any(torch.equal(a, b) for a, b in zip(first, drawn(2), strict=True))
    assert not torch.equal(first[0], first[1])


def test_resuming_with_other_styles_warns(caplog):
    trainer, hook = build()
    state = hook.state_dict()

    def resume(state):
        hook.load_state_dict(state)
        trainer.train(0, 1)

    assert hook.record() == {"description": "Gaussian noise at 3.0 dB in place of mined styles."}
    resume(state)
    resume({})  # of an earlier version
    assert "other styles" not in caplog.text
    resume(state | {"styles": {"source": "gta5"}})
    assert "the resumed run uses other styles than it started with" in caplog.text
    assert hook.changed == hook.state_dict()["changed"] == ["other styles after 0 iterations"]


def test_probability_rises_linearly_over_the_warm_up_and_is_logged():
    trainer, _ = build(probability=0.8, warmup_iters=4, log_period=1)
    trainer.train(0, 6)
    logged = trainer.storage.history("style/probability").values()
    assert [p for p, _ in logged] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_share_of_restyled_patches_and_mean_weight_are_logged():
    trainer, hook = build()
    trainer.train(0, 6)
    shares = [value for value, _ in trainer.storage.history("style/restyled_share").values()]
    assert shares == [1.0] * 3  # every second iteration
    weights = [value for value, _ in trainer.storage.history("style/mean_weight").values()]
    assert all(0.2 < weight < 0.8 for weight in weights)
    notes = ["Gaussian noise at 3.0 dB in place of mined styles."]
    assert hook.report() == {"notes": notes, "table": {}}


def test_probability_zero_restyles_nothing():
    trainer, _ = build(probability=0.0, log_period=1)
    trainer.train(0, 2)
    assert torch.allclose(trainer.model.seen[0], batch()[0], atol=1e-6)
    assert trainer.storage.history("style/restyled_share").values()[-1][0] == 0
    assert trainer.storage.history("style/mean_weight").values()[-1][0] == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"probability": 1.2}, r"probability of restyling is 1\.2, expected 0\.\.1"),
        ({"probability": -0.1}, r"probability of restyling is -0\.1"),
        ({"warmup_iters": -1}, "warmup_iters is -1, expected a whole number"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(LangDGError, match=message):
        build(**setting)
