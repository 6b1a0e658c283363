"""StyleGAN2's parts against what the papers say of them, and both players against a data set that is easy to learn."""

import dataclasses
import math
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kaokore import GENDERS, STATUSES, write_fake_kaokore
from kaokore.classify.efficientnet_lite import EfficientNetLite0, imagenet_weights
from kaokore.loading import load_images
from kaokore.stylegan import projected_discriminator as projected
from kaokore.stylegan import train as learn
from kaokore.stylegan.augment import MAX_P, adapt, augment, draw_changes, shift
from kaokore.stylegan.cuda_graph import Recorded
from kaokore.stylegan.data import Faces, joint_class, sample_classes
from kaokore.stylegan.discriminator import Discriminator, group_deviation
from kaokore.stylegan.features import load_features
from kaokore.stylegan.generator import FaceGenerator
from kaokore.stylegan.interpolation import closed_spline
from kaokore.stylegan.layers import Conv, Filter, Linear, ModulatedConv, downsample, upsample
from kaokore.stylegan.metrics import fid
from kaokore.stylegan.networks import CLASSES, Generator, NetworkConfig, encode
from kaokore.stylegan.projected_discriminator import Projected, Projection
from kaokore.stylegan.train import (
    Networks,
    State,
    TrainConfig,
    make_optimizers,
    path_lengths,
    r1,
    train_step,
)
from renderer.errors import InputError
from renderer.learned.kernel_distance import kernel_distance
from tests.renderer.pretend_gpu import Recording, pretend_gpu

SMALL = NetworkConfig(size=8, channels=64, most_channels=8, latent=8, mapping=2)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def teacher(both, learning):
    return partial(learn.update_networks, both, make_optimizers(both, learning), learning)


def step(update, networks, faces, config, number, state, source):
    return train_step(update, networks, faces, config, number=number, state=state, draws=source)


def changed(pictures, p, source):
    return augment(pictures, draw_changes(len(pictures), pictures.shape[-1], p, source))


def styles(generator, classes, mixing, source):
    """w (B, L, D) of random z."""
    z = torch.randn(2, len(classes), generator.config.latent, generator=source)
    late = learn.draw_mixing(len(classes), generator.config.styles, mixing, source)
    return learn.mixed_styles(generator, z, classes, late)


def players(config=SMALL, seed=0, learning=TrainConfig()):  # noqa: B008
    torch.manual_seed(seed)
    return Networks(config, learning)


# Layers


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [True, False])
def test_modulated_convolution_is_that_of_the_paper(demodulate, up):
    """One set of weights for each picture, modulated and demodulated as in equations 1 and 3, in a grouped convolution."""
    torch.manual_seed(1)
    B, I, O, D = 3, 4, 5, 6  # noqa: E741
    layer = ModulatedConv(I, O, 3, D, demodulate, up).double()
    x, w = torch.randn(B, I, 6, 7).double(), torch.randn(B, D).double()
    style = w @ layer.style.weight.T / math.sqrt(D) + layer.style.bias
    weights = style[:, None, :, None, None] * layer.weight
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    else:
        weights = weights / math.sqrt(I * 9)
    together = x.reshape(1, B * I, 6, 7)
    if up:
        theirs = F.conv_transpose2d(together, weights.transpose(1, 2).reshape(B * I, O, 3, 3), stride=2, groups=B)
        tap = torch.tensor([1.0, 3, 3, 1]).double()
        kernel = (tap[:, None] * tap / 64 * 4).expand(B * O, 1, 4, 4)
        theirs = F.conv2d(theirs, kernel, padding=1, groups=B * O).reshape(B, O, 12, 14)
    else:
        theirs = F.conv2d(together, weights.reshape(B * O, I, 3, 3), padding=1, groups=B).reshape(B, O, 6, 7)
    torch.testing.assert_close(layer(x, w), theirs)


def test_modulated_convolution_known_value():
    layer = ModulatedConv(2, 1, 1, 1)
    layer.weight.data = torch.tensor([3.0, 1.0]).view(1, 2, 1, 1)
    layer.style.weight.data, layer.style.bias.data = torch.zeros(2, 1), torch.tensor([1.0, 4.0])
    assert layer(torch.tensor([10.0, 5.0]).view(1, 2, 1, 1), torch.zeros(1, 1)).item() == pytest.approx(50 / 5)


def test_demodulation_gives_unit_variance():
    torch.manual_seed(0)
    layer = ModulatedConv(16, 32, 3, 8)
    x = torch.randn(8, 16, 32, 32)
    y = layer(x, 3 * torch.randn(8, 8))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(y.var((0, 2, 3)), torch.ones(32), rtol=0.1, atol=0.1)
    assert y.var().item() == pytest.approx(1, abs=0.03)


def test_equalised_layers_keep_variance():
    torch.manual_seed(0)
    assert Conv(32, 64, 3)(torch.randn(4, 32, 16, 16))[..., 1:-1, 1:-1].var().item() == pytest.approx(1, abs=0.05)
    slow = Linear(64, 64, bias=2.0, rate=0.01)
    y = slow(torch.randn(4096, 64))
    assert y.var().item() == pytest.approx(1, abs=0.1)
    assert y.mean().item() == pytest.approx(2, abs=0.1)
    assert slow.bias[0].item() == pytest.approx(200)


def test_resampling_filters():
    """Constants stay, energy of a ramp stays, and the two are one another's transpose but for the border."""
    x = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 2, 8, 8)
    assert torch.allclose(downsample(x)[0, 0, 1, 1:-1], torch.tensor([2.5, 4.5]))
    assert torch.allclose(upsample(x)[0, 1, 3, 3:7], torch.tensor([1.25, 1.75, 2.25, 2.75]))
    torch.manual_seed(0)
    a, b = torch.randn(1, 1, 12, 12).double(), torch.randn(1, 1, 6, 6).double()
    b[..., [0, -1], :] = b[..., [0, -1]] = 0
    assert (downsample(a) * b).sum().item() == pytest.approx((a * upsample(b)).sum().item() / 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_filter_and_its_transpose_are_one_anothers_derivative(stride):
    """By finite differences, to the second order, where PyTorch's own takes the channels one by one."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6).double()
    taps = torch.tensor([1.0, 3, 3, 1]).double() / 8
    theirs = F.conv2d(x, (taps[:, None] * taps).expand(3, 1, 4, 4), stride=stride, padding=1, groups=3)
    torch.testing.assert_close(Filter.apply(x, stride, False), theirs)
    y = torch.randn_like(theirs)
    back = (x * Filter.apply(y, stride, True)).sum()
    assert (Filter.apply(x, stride, False) * y).sum().item() == pytest.approx(back.item())
    for transpose in (False, True):

        def square(x, transpose=transpose):
            return Filter.apply(x, stride, transpose).square()

        start = x[:1, :2, :4, :4].clone().requires_grad_()
        assert torch.autograd.gradcheck(square, start)
        assert torch.autograd.gradgradcheck(square, start)


# Networks


def test_shapes_and_sizes():
    for size in (8, 16, 32):
        config = NetworkConfig(size=size, channels=64, most_channels=8, latent=8, mapping=2)
        generator, discriminator = Generator(config), Discriminator(config)
        w = generator.mapping(torch.randn(3, 8), torch.arange(3))
        noise = generator.draw_noise(3, draws())
        assert len(noise) == len(generator.convs) == config.styles - 1
        pictures = generator(w, noise)
        assert pictures.shape == (3, 3, size, size)
        assert discriminator(pictures, torch.arange(3)).shape == (3,)
        assert torch.equal(pictures, generator(w[:, None].expand(-1, config.styles, -1), noise))
        assert torch.allclose(pictures[1:2], generator(w[1:2], [part[1:2] for part in noise]), atol=1e-5)


def test_every_style_layer_and_noise_matters():
    torch.manual_seed(0)
    generator = Generator(NetworkConfig(size=16, channels=64, most_channels=8, latent=8))
    for conv in generator.convs:
        nn.init.constant_(conv.strength, 0.3)
    w = torch.randn(1, generator.config.styles, 8).requires_grad_()
    noise = [part.requires_grad_() for part in generator.draw_noise(1, draws())]
    generator(w, noise).square().sum().backward()
    assert (w.grad[0].abs().sum(1) > 0).all()
    assert all(part.grad.abs().sum() > 0 for part in noise)
    silent = Generator(dataclasses.replace(generator.config, noise=False))
    silent.load_state_dict(generator.state_dict())
    assert torch.equal(silent(w, noise), generator(w))


@pytest.mark.parametrize("conditional", [True, False])
def test_classes_matter_to_both_or_to_none(conditional):
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, conditional=conditional)
    generator, discriminator = Generator(config), Discriminator(config)
    z, every = torch.randn(1, 8).expand(CLASSES, -1), torch.arange(CLASSES)
    w = generator.mapping(z, every)
    pictures = generator(w[:1]).expand(CLASSES, -1, -1, -1)
    for values in (w, discriminator(pictures, every)[:, None]):
        assert (torch.cdist(values, values).fill_diagonal_(9).min() > 1e-5) == conditional


def test_means_are_those_of_each_class_and_truncation_draws_towards_them():
    generator = players().generator
    generator.set_means(512)
    z = generator.draw_latent(4096, draws(5))
    for k in (0, 5):
        w = generator.mapping(z, torch.full((4096,), k))
        assert (generator.means[k] - w.mean(0)).abs().max() < 0.15 * w.std(0).mean()
        classes = torch.full((4096,), k)
        assert torch.allclose(generator.truncate(w, classes, 0.0), generator.means[k].expand_as(w))
        assert torch.allclose(generator.truncate(w, classes, 1.0), w)
        half = generator.truncate(w, classes, 0.5)
        assert torch.allclose(half - generator.means[k], (w - generator.means[k]) / 2, atol=1e-5)


def test_spread_sees_a_lack_of_variety():
    """Zero for equal pictures; the mean standard deviation of each group of four otherwise."""
    x = torch.randn(1, 3, 4, 4).expand(8, -1, -1, -1)
    assert group_deviation(x).max() < 1e-3
    torch.manual_seed(0)
    x = torch.randn(8, 3, 4, 4)
    expected = [x[:4].std(0, unbiased=False).mean().item(), x[4:].std(0, unbiased=False).mean().item()]
    assert group_deviation(x)[2, 0, 1, 2].item() == pytest.approx(expected[0], rel=1e-5)
    assert group_deviation(x)[6, 0, 1, 2].item() == pytest.approx(expected[1], rel=1e-5)
    assert group_deviation(x[:6]).shape == (6, 1, 4, 4)
    # And the discriminator looks at it: what it says of a picture depends on the others.
    discriminator, pictures, classes = Discriminator(SMALL), torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    alone = discriminator(pictures[:1].expand(4, -1, -1, -1), classes)
    assert (alone[0] - discriminator(pictures, classes)[0]).abs() > 1e-3


def test_classes_are_gender_and_status():
    assert encode(torch.tensor([int(joint_class(torch.tensor(1), torch.tensor(2)))])).tolist() == [[0, 1, 0, 0, 1, 0]]
    assert joint_class(torch.tensor(len(GENDERS) - 1), torch.tensor(len(STATUSES) - 1)) == CLASSES - 1
    counts = [30, 0, 0, 10, 0, 0, 0, 0]
    assert set(sample_classes(counts, 500, draws()).tolist()) == {0, 3}
    assert sample_classes(counts, 4000, draws()).eq(3).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert set(sample_classes(counts, 9, draws(), gender="male", status="commoner").tolist()) == {3}
    assert set(sample_classes(counts, 9, draws(), gender="female", status="warrior").tolist()) == {
        5
    }  # never seen, and still dreamt
    for options in ({"gender": "boy"}, {"status": "king"}):
        with pytest.raises(InputError, match="choose one of"):
            sample_classes(counts, 1, draws(), **options)


# Regularisers


def test_r1_is_the_squared_gradient_by_finite_differences():
    torch.manual_seed(0)
    discriminator = Discriminator(SMALL).double()
    x, classes = torch.randn(2, 3, 8, 8).double(), torch.tensor([1, 6])

    def numeric(at):
        step = 1e-5
        total = 0.0
        for i in range(at.numel()):
            move = torch.zeros(at.numel()).double()
            move[i] = step
            move = move.view_as(at)
            with torch.no_grad():
                slope = (discriminator(at + move, classes) - discriminator(at - move, classes)).sum() / (2 * step)
            total += slope.item() ** 2
        return total / len(at)

    y = x.clone().requires_grad_()
    penalty = r1(discriminator(y, classes), y)
    assert penalty.item() == pytest.approx(numeric(x), rel=1e-5)

    # And the penalty has a gradient in the weights, of second order.
    weight = discriminator.blocks[0].second.weight
    (slope,) = torch.autograd.grad(penalty, weight)
    direction = torch.randn_like(weight)
    values = []
    for sign in (1, -1):
        weight.data += sign * 1e-5 * direction
        values.append(r1(discriminator(y, classes), y).item())
        weight.data -= sign * 1e-5 * direction
    assert (slope * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3)


def test_path_lengths_of_a_linear_generator():
    """Of pictures that are k times w, all of them k times the length of the random direction over the side."""
    w = torch.randn(4, 6, 32).requires_grad_()  # 192 = 3 x 8 x 8 numbers
    direction = torch.randn(4, 3, 8, 8)
    lengths = path_lengths(2.5 * w.view(4, 3, 8, 8), w, direction)
    torch.testing.assert_close(lengths, 2.5 / 8 * direction.view(4, 6, 32).square().sum(2).mean(1).sqrt())


def test_path_regularisation_makes_lengths_alike():
    torch.manual_seed(0)
    generator = Generator(SMALL)
    optimizer = torch.optim.Adam(generator.parameters(), 0.003, (0.0, 0.99))
    mean, penalties = 0.0, []
    for i in range(80):
        w = styles(generator, torch.arange(16) % CLASSES, 0.9, draws(i))
        lengths = path_lengths(
            generator(w, generator.draw_noise(16, draws(i))), w, torch.randn(16, 3, 8, 8, generator=draws(i))
        )
        mean += 0.05 * (lengths.mean().item() - mean)
        penalty = (lengths - lengths.mean()).square().mean() / lengths.mean().square()
        penalties.append(penalty.item())
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert all(map(math.isfinite, penalties))
    assert sum(penalties[-10:]) < 0.7 * sum(penalties[:10])


def test_the_moving_average_forgets_the_initial_weights():
    assert learn.ema_decay(16, 0, 10.0) == 0
    both, learning = players(), TrainConfig(batch=4)
    step(teacher(both, learning), both, noisy_faces(), learning, 1, State(), draws())
    decay = learn.ema_decay(4, 4, learning.ema)
    assert 0 < decay < 0.01
    first = players()
    for name, weight in both.generator.named_parameters():
        expected = first.average.get_parameter(name).lerp(weight, 1 - decay)
        assert torch.equal(both.average.get_parameter(name), expected)


def test_mixing_takes_early_layers_from_one_and_late_ones_from_another():
    generator = players().generator
    classes = torch.zeros(64, dtype=torch.int64)
    plain = styles(generator, classes, 0.0, draws())
    assert torch.equal(plain, plain[:, :1].expand_as(plain))
    mixed = styles(generator, classes, 1.0, draws())
    assert torch.equal(mixed[:, 0], plain[:, 0])
    assert (mixed[:, 0] != mixed[:, -1]).any(1).all()
    changes = (mixed[:, 1:] != mixed[:, :-1]).any(2).sum(1)
    assert torch.equal(changes, torch.ones(64, dtype=torch.int64))


# Augmentation


def test_augmentation_happens_with_probability_p_to_each_picture_for_itself():
    torch.manual_seed(0)
    x = torch.rand(4000, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(changed(x, 0.0, draws()), x, atol=1e-5, rtol=0)
    y = changed(x, 0.1, draws())
    assert torch.isfinite(y).all()
    same = (x - y).abs().flatten(1).max(1).values < 1e-5
    # Eleven changes; a quarter of the quarter turns, of the whole shifts (of at most a pixel here) and half of the
    # inversions do nothing.
    expected = 0.9**8 * (1 - 0.1 * 3 / 4) ** 2 * (1 - 0.1 / 2)
    assert same.float().mean().item() == pytest.approx(expected, abs=0.025)
    assert torch.equal(y, changed(x, 0.1, draws()))
    assert not torch.equal(y, changed(x, 0.1, draws(1)))


def test_augmentation_has_a_gradient_everywhere():
    """Also into values that no picture has, where kornia's own changes of colour have none."""
    x = (3 * torch.randn(8, 3, 16, 16)).requires_grad_()
    (changed(x, 0.8, draws()) * torch.randn(8, 3, 16, 16)).sum().backward()
    assert (x.grad.abs() > 0).float().mean() > 0.7


def test_augmented_grey_stays_grey():
    """Colour turns about the axis of greys."""
    x = torch.rand(64, 1, 8, 8).expand(-1, 3, -1, -1) * 2 - 1
    y = changed(x, 0.9, draws())
    assert (y - y.mean(1, keepdim=True)).abs().max() < 1e-5
    assert (y - x).abs().mean() > 0.1


def test_a_shift_moves_each_picture_by_its_pixels():
    torch.manual_seed(0)
    x, moves = torch.rand(3, 3, 12, 12), torch.tensor([[0, 0], [3, -2], [-4, 1]])
    y = shift(x, moves)
    for before, after, (right, down) in zip(x, y, moves.tolist(), strict=True):
        expected = before.roll((down, right), (1, 2))[:, 4:-4, 4:-4]  # the border is reflected
        torch.testing.assert_close(after[:, 4:-4, 4:-4], expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, MAX_P), st.floats(-1, 1), st.integers(1, 500), st.floats(0.1, 0.9))
def test_p_follows_how_far_the_discriminator_overfits(p, r_t, shown, target):
    after = adapt(p, r_t, shown, target=target, speed=1000.0)
    assert 0 <= after <= MAX_P
    assert abs(after - p) <= shown / 1000 + 1e-9
    if r_t > target and p < MAX_P:
        assert after > p
    if r_t < target and p > 0:
        assert after < p
    if r_t == target:
        assert after == p


@pytest.mark.parametrize(("bias", "up"), [(50.0, True), (-50.0, False)])
def test_a_discriminator_that_is_sure_of_real_faces_raises_p(bias, up):
    config = dataclasses.replace(SMALL, conditional=False)
    both = players(config)
    nn.init.constant_(both.discriminator.out.bias, bias)
    state, learning = State(p=0.3), TrainConfig(batch=4, ada_speed=0.1)
    teach = teacher(both, learning)
    source = draws()
    for number in range(4):
        step(teach, both, noisy_faces(), learning, number, state, source)
    assert state.r_t == (1 if up else -1)
    assert state.p == pytest.approx(0.3 + (0.16 if up else -0.16))
    off = State(p=0.3)
    for number in range(4):
        step(teach, both, noisy_faces(), dataclasses.replace(learning, ada=1.0), number, off, source)
    assert off.p == 0.3


# Learning


def noisy_faces():
    return Faces(torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8, generator=draws()), torch.arange(12) % CLASSES)


def test_the_generator_learns_a_colour_and_the_discriminator_knows_no_more():
    """Faces of one colour, which no fresh generator has. A player that does not learn, or learns upwards, fails this."""
    colour = torch.tensor([0.6, -0.5, 0.1])
    bytes_ = ((colour + 1) * 127.5).round().byte()
    faces = Faces(bytes_[:, None, None].expand(8, -1, 8, 8).contiguous(), torch.arange(8))
    both, learning = players(seed=4), TrainConfig(batch=8, learning_rate=0.01, ema=0.2, r1=1.0, r1_every=4, ada=1.0)
    teach = teacher(both, learning)

    def error():
        w = both.average.mapping(both.average.draw_latent(32, draws(9)), torch.arange(32) % CLASSES)
        with torch.no_grad():
            return (both.average(w) - colour[:, None, None]).square().mean().item()

    def margin():
        """How much more real a face seems than a dream."""
        with torch.no_grad():
            w = both.generator.mapping(both.generator.draw_latent(32, draws(9)), torch.arange(32) % CLASSES)
            real, classes = faces.draw(32, draws(9))
            return (
                both.discriminator(real, classes).mean() - both.discriminator(both.generator(w), classes).mean()
            ).item()

    before, state, source, margins = error(), State(), draws(), []
    for number in range(140):
        losses = step(teach, both, faces, learning, number, state, source)
        margins.append(margin() if number % 10 == 0 else margins[-1])
    assert all(map(math.isfinite, losses.values()))
    assert state.shown == 140 * 8
    assert before > 1
    assert error() < 0.02
    assert max(margins) > 1, "the discriminator learned to tell them apart"
    assert abs(margins[-1]) < 0.5 * max(margins), "and then there was less to tell"


@pytest.mark.parametrize("name", ["r1", "path"])
def test_regularisers_take_part(name):
    """Of two trainings that differ in nothing else, the one that is penalised ends with the smaller penalty."""
    penalties = []
    for weight in (0.0, 10.0):
        learning = dataclasses.replace(TrainConfig(batch=8, r1_every=2, path_every=2, ada=1.0), **{name: weight})
        both, state, source = players(), State(), draws()
        teach = teacher(both, learning)
        for number in range(40):
            step(teach, both, noisy_faces(), learning, number, state, source)
        if name == "r1":
            both.discriminator.requires_grad_(True)
            reals, classes = noisy_faces().draw(12, draws())
            penalties.append(r1(both.discriminator(reals.requires_grad_(), classes), reals).item())
        else:
            w = styles(both.generator, torch.arange(64) % CLASSES, 0.9, draws())
            lengths = path_lengths(
                both.generator(w, both.generator.draw_noise(64, draws())),
                w,
                torch.randn(64, 3, 8, 8, generator=draws()),
            )
            penalties.append(lengths.std().item())
    assert penalties[1] < 0.8 * penalties[0]


def test_all_players_run_on_another_device():
    """Nothing is left on the CPU, regularisers and augmentation included; a GPU can record it; the numbers are the CPU's."""

    def trained(both, recording=nullcontext):
        free = {name: [p for p in getattr(both, name).parameters() if p.requires_grad] for name in names}
        optimizers = {name: torch.optim.SGD(free[name], 0.01) for name in names}
        config = dataclasses.replace(learning, batch=4, r1_every=2, path_every=2)
        state, source = State(p=0.5), draws()

        def teach(*given):
            with recording():
                return learn.update_networks(both, optimizers, config, *given)

        losses = [step(teach, both, noisy_faces(), config, number, state, source) for number in range(2)]
        losses = [{name: loss.item() for name, loss in some.items()} for some in losses]
        generator = FaceGenerator(both.average, [1] * CLASSES, {})
        generator.network.set_means(64)
        faces = generator.synthesise(generator.sample_styles(3, source, gender="male"), source)
        assert faces.device.type == "cpu"
        return losses, faces

    names, learning = ("generator", "discriminator", "projected"), TrainConfig(projected=1.0)
    both = players(learning=learning)
    with pretend_gpu() as device:
        theirs, faces = trained(both.to(device), Recording)
    ours, same = trained(players(learning=learning))
    assert ours[0].keys() == {"generator", "path_length", "discriminator", "r1", "projected"}
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=1e-3)
    assert torch.allclose(same, faces, atol=1e-3)


def test_the_projected_discriminator_joins_when_it_is_told_to():
    learning = TrainConfig(batch=4, projected=1.0, projected_from=0.01, path=0.0, r1=0.0)
    both, state, source = players(learning=learning), State(), draws()
    teach, first = teacher(both, learning), both.projected.judges[0].out.parametrizations.weight.original.clone()
    said = [step(teach, both, noisy_faces(), learning, number, state, source) for number in range(4)]
    assert ["projected" in losses for losses in said] == [False, False, False, True], "after 10 faces"
    assert not torch.equal(first, both.projected.judges[0].out.parametrizations.weight.original)


def test_faces_of_a_class_are_neighbours_and_stay_with_their_class():
    """So that discriminators compare them with one another; dreams are asked for in the same order."""
    faces = noisy_faces()
    drawn = learn.draw_batch(players().generator, faces, TrainConfig(batch=32), p=0.0, path=False, draws=draws())
    for classes in (drawn["classes"], drawn["wanted"]):
        assert torch.equal(classes, classes.sort().values)
        assert len(set(classes.tolist())) > 4
    known = {
        (face / 127.5 - 1).sum().item(): k for face, k in zip(faces.images.float(), faces.classes.tolist(), strict=True)
    }
    for picture, k in zip(drawn["reals"], drawn["classes"].tolist(), strict=True):
        nearest = min(known, key=lambda total: abs(total - picture.sum().item()))
        assert known[nearest] == k


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records")
def test_a_recorded_step_is_the_step():
    """The same losses and weights as without recording, for each kind of step, before and after it is recorded."""
    learning = TrainConfig(batch=8, projected=1.0, r1_every=4, path_every=2)
    ends = []
    for recorded in (False, True):
        both, state, source = players(learning=learning).cuda(), State(p=0.5), draws()
        teach = teacher(both, learning)
        if recorded:
            teach = Recorded(teach)
        losses = [step(teach, both, noisy_faces(), learning, number, state, source) for number in range(24)]
        assert not recorded or len(teach.graphs) == 3
        ends.append([{name: loss.item() for name, loss in some.items()} for some in losses] + [state.r_t, state.p])
    for eager, replayed in zip(*ends, strict=True):
        assert replayed == pytest.approx(eager, rel=0.02, abs=0.02)


# The projected discriminator


def test_folded_lite_is_lite():
    """Normalisation folded into convolutions says the same, and the mixed features have about deviation 1."""
    lite = EfficientNetLite0(1000)
    lite.load_state_dict(imagenet_weights())
    lite.eval()
    torch.manual_seed(0)
    projection, x = Projection().train(), torch.rand(2, 3, 64, 64) * 2 - 1
    assert not any(isinstance(part, nn.BatchNorm2d) for part in projection.modules())
    assert not any(part.training for part in projection.modules())
    mine = theirs = (x * 127.5 + 0.5) / 128
    begin = 0
    for depth, end in zip(projection.depths, projected.ENDS, strict=True):
        mine, theirs = depth(mine), lite.features[begin:end](theirs)
        assert torch.allclose(mine, theirs, atol=1e-3)
        begin = end
    for features, width, side in zip(projection(x), projected.WIDTHS, (16, 8, 4, 2), strict=True):
        assert features.shape == (2, width, side, side)
        assert 0.3 < features.std() < 3


def test_the_projected_discriminator_learns_and_what_it_sees_through_does_not():
    torch.manual_seed(0)
    network = Projected(SMALL)
    frozen = {name: weight.clone() for name, weight in network.project.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.001, (0.0, 0.99))
    x, classes = torch.rand(16, 3, 8, 8, generator=draws()) - 0.5, torch.arange(16) % CLASSES
    signs = torch.where(torch.arange(16) < 8, 1.0, -1.0)
    x[:8, 0] += 0.5  # the real ones are redder

    def loss():
        return torch.relu(1 - signs[:, None] * network(x, classes)).mean()

    before = loss().item()
    for _ in range(12):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.6 * before
    assert all(torch.equal(weight, frozen[name]) for name, weight in network.project.state_dict().items())
    pictures = x.clone().requires_grad_()
    network(pictures, classes).sum().backward()
    assert (pictures.grad.abs().sum((1, 2, 3)) > 0).all()


def test_the_generator_listens_to_the_projected_discriminator():
    """Two steps that differ in its weight alone move the generator differently, and StyleGAN2's own judge alike."""
    moved = []
    for weight in (1e-9, 10.0):
        learning = TrainConfig(batch=4, projected=weight, path=0.0, r1=0.0)
        both = players(learning=learning)
        step(teacher(both, learning), both, noisy_faces(), learning, 1, State(), draws())
        moved.append(both)
    a, b = (torch.cat([p.flatten() for p in both.generator.parameters()]) for both in moved)
    assert (a - b).abs().max() > 1e-3
    a, b = (torch.cat([p.flatten() for p in both.discriminator.parameters()]) for both in moved)
    assert torch.equal(a, b)


# Measures


def test_kid_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kid_is_unbiased_and_sees_a_shift():
    source = draws()
    samples = [torch.randn(2, 30, 4, generator=source) for _ in range(400)]
    values = torch.tensor([kernel_distance(a, b) for a, b in samples])
    assert abs(values.mean()) < 3 * values.std() / 20
    assert values.min() < 0
    shifted = [
        torch.tensor([kernel_distance(a, b + shift) for a, b in samples[:50]]).mean().item()
        for shift in (0.0, 0.3, 0.6, 1.0)
    ]
    assert shifted == sorted(shifted)
    assert shifted[-1] > 10 * values.std()
    same = torch.randn(500, 4, generator=source)
    assert abs(kernel_distance(same, same)) < 0.15


def test_fid_of_gaussians():
    x = torch.randn(300, 5, generator=draws()).double()
    assert fid(x, x) == pytest.approx(0, abs=1e-6)
    assert fid(x, x + torch.tensor([1.0, 2, 0, 0, 0])) == pytest.approx(5, abs=1e-6)
    assert fid(x, 3 * x - 2 * x.mean(0)) == pytest.approx(4 * x.var(0).sum().item(), abs=1e-6)
    few = torch.randn(4, 9, generator=draws(1)).double()  # fewer pictures than features
    assert fid(few, few) == pytest.approx(0, abs=1e-6)


def test_measures_grow_with_damage(tmp_path):
    """Features of made-up faces: the more noise, blur or colour, the farther."""
    faces = load_images(write_fake_kaokore(tmp_path, n=60), "train", 64).images / 255
    features = load_features("lite0")
    theirs = features(faces[::2])
    others, noise = faces[1::2], torch.randn(faces[1::2].shape, generator=draws())

    def blurred(by):
        return F.interpolate(F.avg_pool2d(others, by), (64, 64), mode="bilinear", align_corners=False)

    tint = torch.tensor([1.0, 0.0, -1.0])[:, None, None]
    for damaged in (
        [others, others + 0.05 * noise, others + 0.2 * noise],
        [others, blurred(2), blurred(4)],
        [others, others + 0.08 * tint, others + 0.2 * tint],
    ):
        values = [features(pictures) for pictures in damaged]
        for measure in (kernel_distance, fid):
            figures = [measure(theirs, value) for value in values]
            assert figures == sorted(figures)
    assert abs(kernel_distance(theirs, features(others))) < 0.1 * figures[-1]


# The way between faces


def test_the_walk_passes_all_corners_and_closes():
    corners = torch.randn(5, 3, generator=draws()).double()
    way = closed_spline(corners, 10)
    assert way.shape == (50, 3)
    assert torch.allclose(way[::10], corners)
    closed = torch.cat((way, way[:2]))
    speeds = closed.diff(dim=0)
    jumps = speeds.diff(dim=0).norm(dim=1)
    assert jumps[-1] < 1.5 * jumps[:-1].max()  # no corner where the end meets the beginning
    line = closed_spline(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), 4)
    assert torch.allclose(line[4:8, 0], torch.tensor([1.0, 1.25, 1.5, 1.75]))
