"""The loss over several processes, however the labelled pixels are spread."""

from argparse import Namespace

import pytest
import torch
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from langdg_d2.modeling import PixelCrossEntropy

IGNORE, CLASSES = 255, 4
# Ignored pixels of the two images, of 30 each.
SPREADS = [(0, 0), (3, 24), (30, 7), (30, 30)]


def example(ignored: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, CLASSES, 5, 6, generator=generator)
    labels = torch.randint(CLASSES, (2, 5, 6), generator=generator)
    for label, count in zip(labels, ignored, strict=True):
        label.view(-1)[:count] = IGNORE
    return images, labels


def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Conv2d(CLASSES, CLASSES, 1)


def loss_of(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    loss = PixelCrossEntropy(ignore_label=IGNORE, label_smoothing=0.1)(model(images), labels)
    loss.backward()
    return loss.detach()


def _one_image_each(args: Namespace) -> None:
    rank = comm.get_rank()
    results = []
    for ignored in SPREADS:
        model = network()
        images, labels = example(ignored)
        parallel = DistributedDataParallel(model)
        loss = loss_of(parallel, images[rank : rank + 1], labels[rank : rank + 1])
        results.append((loss, model.weight.grad))
    torch.save(results, f"{args.folder}/{rank}")
    if rank == 1:  # alone
        inputs, labels = example(SPREADS[1])
        loss = PixelCrossEntropy(ignore_label=IGNORE, label_smoothing=0.1)
        with torch.no_grad():
            without_gradients = loss(inputs, labels)
        torch.save((without_gradients, loss.eval()(inputs, labels)), f"{args.folder}/alone")


def test_processes_with_unlike_numbers_of_ignored_pixels_train_as_one_with_all_images(
    in_two_processes, tmp_path
):
    in_two_processes(_one_image_each, folder=str(tmp_path))
    found = [torch.load(tmp_path / str(rank)) for rank in (0, 1)]
    for k, ignored in enumerate(SPREADS):
        model = network()
        expected = loss_of(model, *example(ignored))
        # Every labelled pixel counts alike, not every process.
        losses = [found[rank][k][0] for rank in (0, 1)]
        assert sum(losses).item() / 2 == pytest.approx(expected.item(), rel=1e-5)
        for rank in (0, 1):
            assert torch.allclose(found[rank][k][1], model.weight.grad, rtol=1e-4, atol=1e-7)
        assert [loss.item() == 0 for loss in losses] == [count == 30 for count in ignored]
    # One process may compute a loss by itself where it does not train.
    own = PixelCrossEntropy(ignore_label=IGNORE, label_smoothing=0.1)(*example(SPREADS[1]))
    assert torch.load(tmp_path / "alone") == (own, own)
