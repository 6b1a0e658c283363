"""The classifiers: figures, augmentation, networks, and their file."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kaokore.classify import load_classifier, networks
from kaokore.classify.augment import Augmentation, augment
from kaokore.classify.classifier import Classifier, normalise
from kaokore.classify.efficientnet_lite import EfficientNetLite0, SameConv
from kaokore.classify.metrics import calibration_error, fit_temperature, measure
from kaokore.classify.networks import MODELS, build, imagenet_weights, parts, start_from
from kaokore.classify.train import class_weights, freeze, make_optimizer, train_step, update_average
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def scores_and_labels(seed, n=400, classes=4):
    """Logits that are calibrated by construction: labels are drawn from their softmax."""
    scores = 2 * torch.randn(n, classes, generator=random(seed))
    return scores, torch.multinomial(torch.softmax(scores, 1), 1, generator=random(seed + 1))[:, 0]


def test_figures_of_known_answers():
    answers, labels = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1])
    figures = measure(10.0 * torch.eye(3)[answers], labels, ("a", "b", "c"))
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["recall"] == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 2), "c": None}
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert figures["n"] == 5
    assert figures["ece"] == pytest.approx(2 / 5, abs=1e-3)  # all sure, two wrong


def test_calibration_error_by_bins():
    # Two bins: at .9 half are right, at .6 all are.
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = torch.tensor([0, 1, 0, 1])
    assert calibration_error(probabilities, labels) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4, abs=1e-6)


@given(st.floats(0.4, 5.0), st.integers(0, 50))
def test_temperature_scales_with_the_logits_and_is_best(factor, seed):
    scores, labels = scores_and_labels(seed)
    temperature = fit_temperature(scores, labels)
    assert fit_temperature(scores * factor, labels) == pytest.approx(temperature * factor, rel=1e-3)
    best, *others = (measure(scores, labels, "abcd", temperature * change)["nll"] for change in (1.0, 0.9, 1.1))
    assert best <= min(others)
    assert 0.7 < temperature < 1.4


def test_a_few_right_answers_do_not_make_it_boundlessly_sure():
    assert fit_temperature(torch.eye(4), torch.arange(4)) == pytest.approx(0.25, rel=1e-3)
    assert fit_temperature(torch.eye(4), torch.arange(4).flip(0)) == pytest.approx(20, rel=1e-3)


def test_temperature_calibrates_too_sure_a_network():
    scores, labels = scores_and_labels(0, n=4000)
    sure = scores * 4
    before = measure(sure, labels, "abcd")["ece"]
    after = measure(sure, labels, "abcd", fit_temperature(sure, labels))["ece"]
    assert after < 0.03 < 0.15 < before


@given(st.floats(0.0, 1.0))
def test_class_weights(balance):
    labels = torch.tensor([0] * 60 + [1] * 30 + [3] * 10)
    weights = class_weights(labels, 4, balance)
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-5)
    assert (weights[3] / weights[0]).item() == pytest.approx(6**balance, rel=1e-4)


def test_augmented_faces_stay_faces():
    images = torch.randint(256, (16, 3, 24, 24), dtype=torch.uint8, generator=random())
    first, second = (augment(images, 1.0, random(1), Augmentation()) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first, augment(images, 1.0, random(2), Augmentation()))


def test_without_strength_faces_are_only_mirrored():
    images = torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8, generator=random())
    changed = augment(images, 0.0, random(), Augmentation())
    plain, mirrored = images / 255, images.flip(-1) / 255
    same = [(face - one).abs().max() < 1e-6 for face, one in zip(changed, plain, strict=True)]
    flipped = [(face - one).abs().max() < 1e-6 for face, one in zip(changed, mirrored, strict=True)]
    assert all(a or b for a, b in zip(same, flipped, strict=True))
    assert 4 < sum(same) < 28


def test_faces_move_within_limits_and_about_their_middle():
    """A dot in the middle stays there up to the shift."""
    images = torch.zeros(200, 3, 65, 65, dtype=torch.uint8)
    images[:, :, 30:35, 30:35] = 255
    still = Augmentation(contrast=0, brightness=0, saturation=0, tint=0, erase=0)
    moved = augment(images, 1.0, random(), still)[:, 0]
    mass = moved / moved.sum((1, 2), keepdim=True)
    place = torch.arange(65.0)
    for profile in (mass.sum(1), mass.sum(2)):
        middle = (profile * place).sum(1)
        assert (middle - 32).abs().max() < 65 * still.shift * 1.2 + 0.5
        assert middle.std() > 1


def test_a_quarter_of_the_faces_lose_a_rectangle():
    images = torch.randint(256, (400, 3, 20, 20), dtype=torch.uint8, generator=random())
    erased = augment(images, 1.0, random(), Augmentation(0, 0, 0, 0, 0, 0, 0, erase=0.25))
    grey = (erased - erased.mean((1, 2, 3), keepdim=True)).abs().amax(1) < 0.1
    share = grey.float().mean((1, 2))
    lost = share[share > 0.015]
    assert 0.2 < len(lost) / len(images) < 0.3
    assert lost.max() < 0.25
    assert 0.08 < lost.mean() < 0.14


@pytest.mark.parametrize("model", MODELS)
def test_networks_answer_from_their_least_size_on(model):
    network = build(model, 4).eval()
    least = MODELS[model].min_size
    with torch.no_grad():
        assert network(torch.rand(2, 3, least, least)).shape == (2, 4)
    first = next(network.parameters())
    assert any(first is parameter for parameter in parts(network)[0].parameters())
    assert not any(isinstance(part, nn.Linear) for part in parts(network))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(7, 8), (8, 7), (9, 9)])
def test_same_convolution_halves_upwards(kernel, stride, size):
    convolution = SameConv(2, 3, kernel, stride)
    assert convolution(torch.rand(1, 2, *size)).shape[-2:] == tuple(-(-side // stride) for side in size)


def test_same_convolution_pads_right_and_below_first():
    convolution = SameConv(1, 1, 3, 2, bias=False)
    nn.init.ones_(convolution.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert convolution(image).flatten().tolist() == [45, 39, 66, 50]  # windows from (0, 0), without any padding there


def test_lite_knows_imagenet():
    """The weights of the package, in our network: sure of itself, and features of a picture that a fresh one has not."""
    network = EfficientNetLite0(1000).eval()
    network.load_state_dict(imagenet_weights("efficientnet_lite0"))
    x = torch.linspace(-1, 1, 224).expand(1, 3, 224, 224)
    with torch.no_grad():
        scores = network(x)[0]
    # As the package's own network has it (efficientnet-lite-pytorch 0.1.0).
    assert scores.topk(3).indices.tolist() == [534, 499, 901]
    assert scores.max().item() == pytest.approx(6.0835, abs=1e-3)


def test_the_body_starts_from_the_weights_and_the_head_does_not():
    network = build("resnet18", 2)
    weights = build("resnet18", 1000).state_dict()
    fresh = network.fc.weight.clone()
    start_from(network, weights)
    assert torch.equal(network.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])
    assert torch.equal(network.fc.weight, fresh)
    with pytest.raises(InputError, match="another network"):
        start_from(network, build("mobilenet_v2", 1000).state_dict())


def test_densenet_of_old_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = build("densenet121", 1000)
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in name else name: weight
        for name, weight in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(old, folder / "densenet121-a639ec97.pth")
    other = build("densenet121", 2)
    start_from(other, imagenet_weights("densenet121"))
    assert torch.equal(
        other.features.denseblock1.denselayer1.conv2.weight, network.features.denseblock1.denselayer1.conv2.weight
    )
    (folder / "densenet121-a639ec97.pth").write_bytes(b"something else")
    with pytest.raises(InputError, match="damaged"):
        imagenet_weights("densenet121")


def serve(handler):
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_server_that_says_nothing_is_soon_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/net-01234567.pth"
        with pytest.raises(InputError, match=r"cannot be downloaded \(ReadTimeout\)"):
            networks._download(url, tmp_path / "net.pth", timeout=0.2)
    assert not list(tmp_path.iterdir())


def test_downloads_are_checked(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_):
            pass

    server = serve(Handler)
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        networks._download(f"{address}/net-9a129038.pth", tmp_path / "net.pth", 5)
        assert (tmp_path / "net.pth").read_bytes() == b"weights"
        for name in ("net-00000000.pth", "missing-00000000.pth"):
            with pytest.raises(InputError, match="cannot be downloaded"):
                networks._download(f"{address}/{name}", tmp_path / name, 5)
            assert not (tmp_path / name).exists()
    finally:
        server.shutdown()
        server.server_close()


def test_frozen_parts_do_not_learn():
    network = build("efficientnet_lite0", 2)
    frozen = freeze(parts(network), 0.5)
    assert len(frozen) == 9
    assert not any(parameter.requires_grad for part in frozen for parameter in part.parameters())
    assert network.classifier.weight.requires_grad
    assert freeze(parts(network), 1.0) == parts(network)


def test_a_step_in_bfloat16_is_nearly_that_in_float32():
    """Nearly, but not the same: the option took effect. Weights stay in full precision."""
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        network, images, labels = build("resnet18", 2), torch.randn(8, 3, 32, 32), torch.arange(8) % 2
        optimizer = make_optimizer(network, 1e-3, 0.0)
        losses.append(
            [
                train_step(
                    network, optimizer, images, labels, weights=torch.ones(2), smoothing=0.0, precision=precision
                )
                for _ in range(3)
            ]
        )
        assert all(weight.dtype != torch.bfloat16 for weight in network.state_dict().values())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[1][-1] < 0.5 * losses[1][0]


def test_the_average_follows():
    average, network = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(network.weight, 2.0)
    network.num_batches_tracked.fill_(7)
    update_average(average, network, 1000, 0.9)
    assert average.weight.tolist() == pytest.approx([1.1] * 3)
    assert average.num_batches_tracked == 7
    update_average(average, network, 0, 0.9)  # the first step: nine parts of ten are new
    assert average.weight.tolist() == pytest.approx([1.91] * 3)


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    network = build("efficientnet_lite0", 4).eval().requires_grad_(False)
    start_from(network, imagenet_weights("efficientnet_lite0"))
    return Classifier("efficientnet_lite0", "status", 32, network, temperature=1.7, about={"seed": 3})


def test_a_classifier_comes_back_from_its_file(tmp_path, classifier):
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


def test_weights_too_large_for_half_precision_keep_their_own(tmp_path, classifier):
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
def test_files_that_are_no_classifier(tmp_path, classifier, change):
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


def test_each_network_sees_colours_as_it_was_taught():
    grey = torch.full((1, 3, 2, 2), 127 / 255)
    assert normalise(grey, "efficientnet_lite0").abs().max() < 1e-6
    assert normalise(torch.ones(1, 3, 1, 1), "inception_v3").flatten().tolist() == [1, 1, 1]
    assert normalise(torch.ones(1, 3, 1, 1), "resnet18").flatten().tolist() == pytest.approx(
        [2.2489, 2.4286, 2.64], abs=1e-4
    )
