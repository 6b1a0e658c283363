"""A classifier and its file."""

import pytest
import torch

from kaokore.classify import load_classifier
from kaokore.classify.classifier import Classifier, normalise
from kaokore.classify.networks import build, imagenet_weights, start_from
from renderer.io.checkpoint import Checkpoint, CheckpointError
from tests.kaokore.classify.examples import random


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    network = build("efficientnet_lite0", 4).eval().requires_grad_(False)
    start_from(network, imagenet_weights("efficientnet_lite0"))
    return Classifier("efficientnet_lite0", "status", 32, network, temperature=1.7, about={"seed": 3})


def test_a_classifier_is_saved_and_loaded(tmp_path, classifier):
    classifier.save(tmp_path / "one.safetensors")
    assert (tmp_path / "one.safetensors").stat().st_size < 10e6
    again = load_classifier(tmp_path / "one.safetensors")
    assert again.classes == ("noble", "warrior", "incarnation", "commoner")
    assert (again.temperature, again.flip, again.about) == (1.7, True, {"seed": 3})
    images = torch.rand(3, 3, 32, 32, generator=random())
    assert (again.probabilities(images) - classifier.probabilities(images)).abs().max() < 0.02
    assert not again.probabilities(images).requires_grad
    again.save(tmp_path / "two.safetensors")  # halved once, halved for good
    twice = load_classifier(tmp_path / "two.safetensors")
    assert torch.equal(twice.probabilities(images), again.probabilities(images))


def test_probabilities(classifier):
    images = torch.rand(3, 3, 32, 32, generator=random())
    probabilities = classifier.probabilities(images)
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert (classifier.probabilities(images.flip(-1)) - probabilities).abs().max() < 1e-5  # both ways are averaged
    classifier.flip = False
    assert (classifier.probabilities(images.flip(-1)) - probabilities).abs().max() > 1e-4
    assert (classifier.scores(images) / 1.7).softmax(1).allclose(classifier.probabilities(images))


def test_probabilities_of_any_size_with_a_gradient(classifier):
    face = torch.rand(1, 3, 8, 8, generator=random()).repeat_interleave(16, 2).repeat_interleave(16, 3)
    small = torch.nn.functional.interpolate(face, (32, 32), mode="area")
    assert (classifier.probabilities(face) - classifier.probabilities(small)).abs().max() < 0.25
    face.requires_grad_(True)
    classifier.probabilities(face)[0, 0].backward()
    assert face.grad.abs().max() > 0


def test_weights_too_large_for_half_precision_keep_their_precision(tmp_path, classifier):
    with torch.no_grad():
        classifier.network.classifier.bias.fill_(1e5)
    classifier.save(tmp_path / "one.safetensors")
    assert load_classifier(tmp_path / "one.safetensors").network.classifier.bias.tolist() == [1e5] * 4


@pytest.mark.parametrize(
    "change",
    [
        {"model": "resnet50"},
        {"task": "age"},
        {"size": 8},
        {"temperature": 0.0},
        {"temperature": "warm"},
        {"size": None},
    ],
)
def test_files_without_a_classifier_are_refused(tmp_path, classifier, change):
    path = tmp_path / "one.safetensors"
    classifier.save(path)
    made = Checkpoint.load(path)
    Checkpoint("classifier", made.config | change, made.tensors).save(path)
    with pytest.raises(CheckpointError, match="no classifier"):
        load_classifier(path)


def test_weights_of_another_network_are_refused(tmp_path, classifier):
    path = tmp_path / "one.safetensors"
    classifier.save(path)
    made = Checkpoint.load(path)
    Checkpoint("classifier", made.config | {"model": "resnet18"}, made.tensors).save(path)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_classifier(path)
    with pytest.raises(CheckpointError, match="classifier is needed"):
        load_classifier("bezier")


def test_normalisation_of_each_network():
    grey = torch.full((1, 3, 2, 2), 127 / 255)
    assert normalise(grey, "efficientnet_lite0").abs().max() < 1e-6
    assert normalise(torch.ones(1, 3, 1, 1), "inception_v3").flatten().tolist() == [1, 1, 1]
    assert normalise(torch.ones(1, 3, 1, 1), "resnet18").flatten().tolist() == pytest.approx(
        [2.2489, 2.4286, 2.64], abs=1e-4
    )
