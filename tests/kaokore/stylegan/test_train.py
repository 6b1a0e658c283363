"""The training step: regularisers by finite differences, and networks that learn data which are easy to learn."""

import dataclasses
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from kaokore.stylegan import train as learn
from kaokore.stylegan.cuda_graph import Recorded
from kaokore.stylegan.data import Faces
from kaokore.stylegan.discriminator import Discriminator
from kaokore.stylegan.generator import FaceGenerator
from kaokore.stylegan.networks import CLASSES, Generator
from kaokore.stylegan.train import (
    Networks,
    State,
    TrainConfig,
    path_lengths,
    r1,
    relativistic,
)
from renderer.errors import InputError
from tests.kaokore.stylegan.examples import SMALL, draws, make_networks, make_update, noisy_faces, step, styles
from tests.renderer.pretend_gpu import Recording, pretend_gpu


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
    """For images k w, the length is k times that of the random direction, divided by the side."""
    w = torch.randn(4, 6, 32).requires_grad_()  # 192 = 3 x 8 x 8 numbers
    direction = torch.randn(4, 3, 8, 8)
    lengths = path_lengths(2.5 * w.view(4, 3, 8, 8), w, direction)
    torch.testing.assert_close(lengths, 2.5 / 8 * direction.view(4, 6, 32).square().sum(2).mean(1).sqrt())


def test_path_regularisation_makes_lengths_similar():
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
    both, learning = make_networks(), TrainConfig(batch=4)
    step(make_update(both, learning), both, noisy_faces(), learning, 1, State(), draws())
    decay = learn.ema_decay(4, 4, learning.ema)
    assert 0 < decay < 0.01
    first = make_networks()
    for name, weight in both.generator.named_parameters():
        expected = first.average.get_parameter(name).lerp(weight, 1 - decay)
        assert torch.equal(both.average.get_parameter(name), expected)


def test_mixing_splits_the_layers_between_two_styles():
    generator = make_networks().generator
    classes = torch.zeros(64, dtype=torch.int64)
    plain = styles(generator, classes, 0.0, draws())
    assert torch.equal(plain, plain[:, :1].expand_as(plain))
    mixed = styles(generator, classes, 1.0, draws())
    assert torch.equal(mixed[:, 0], plain[:, 0])
    assert (mixed[:, 0] != mixed[:, -1]).any(1).all()
    changes = (mixed[:, 1:] != mixed[:, :-1]).any(2).sum(1)
    assert torch.equal(changes, torch.ones(64, dtype=torch.int64))


@pytest.mark.parametrize(("bias", "up"), [(50.0, True), (-50.0, False)])
def test_p_rises_with_a_confident_discriminator(bias, up):
    config = dataclasses.replace(SMALL, conditional=False)
    both = make_networks(config)
    nn.init.constant_(both.discriminator.out.bias, bias)
    state, learning = State(p=0.3), TrainConfig(batch=4, ada_speed=0.1)
    update = make_update(both, learning)
    source = draws()
    for number in range(4):
        step(update, both, noisy_faces(), learning, number, state, source)
    assert state.r_t == (1 if up else -1)
    assert state.p == pytest.approx(0.3 + (0.16 if up else -0.16))
    off = State(p=0.3)
    for number in range(4):
        step(update, both, noisy_faces(), dataclasses.replace(learning, ada=1.0), number, off, source)
    assert off.p == 0.3


def test_the_generator_learns_a_colour_until_the_discriminator_fails():
    """Images of one colour. A network that does not learn, or maximises its loss, fails this test."""
    colour = torch.tensor([0.6, -0.5, 0.1])
    bytes_ = ((colour + 1) * 127.5).round().byte()
    faces = Faces(bytes_[:, None, None].expand(8, -1, 8, 8).contiguous(), torch.arange(8))
    both, learning = (
        make_networks(seed=4),
        TrainConfig(batch=8, learning_rate=0.01, ema=0.2, r1=1.0, r1_every=4, ada=1.0),
    )
    update = make_update(both, learning)

    def error():
        w = both.average.mapping(both.average.draw_latent(32, draws(9)), torch.arange(32) % CLASSES)
        with torch.no_grad():
            return (both.average(w) - colour[:, None, None]).square().mean().item()

    def margin():
        """Mean logit of real minus generated images."""
        with torch.no_grad():
            w = both.generator.mapping(both.generator.draw_latent(32, draws(9)), torch.arange(32) % CLASSES)
            real, classes = faces.draw(32, draws(9))
            return (
                both.discriminator(real, classes).mean() - both.discriminator(both.generator(w), classes).mean()
            ).item()

    before, state, source, margins = error(), State(), draws(), []
    for number in range(140):
        losses = step(update, both, faces, learning, number, state, source)
        margins.append(margin() if number % 10 == 0 else margins[-1])
    assert all(map(math.isfinite, losses.values()))
    assert state.shown == 140 * 8
    assert before > 1
    assert error() < 0.02
    assert max(margins) > 1, "the discriminator learned to tell them apart"
    assert abs(margins[-1]) < 0.5 * max(margins), "and then there was less to tell"


@pytest.mark.parametrize("name", ["r1", "path"])
def test_regularisers_have_an_effect(name):
    """Of two trainings that differ in the weight only, the regularised one ends with the smaller penalty."""
    penalties = []
    for weight in (0.0, 10.0):
        learning = dataclasses.replace(TrainConfig(batch=8, r1_every=2, path_every=2, ada=1.0), **{name: weight})
        both, state, source = make_networks(seed=2), State(), draws(2)
        update = make_update(both, learning)
        for number in range(40):
            step(update, both, noisy_faces(), learning, number, state, source)
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


def test_all_networks_run_on_another_device():
    """All of the step runs on the device and can be recorded; the results are those of the CPU."""

    def trained(both, recording=nullcontext):
        free = {name: [p for p in getattr(both, name).parameters() if p.requires_grad] for name in names}
        optimizers = {name: torch.optim.SGD(free[name], 0.01) for name in names}
        config = dataclasses.replace(learning, batch=4, r1_every=2, path_every=2)
        state, source = State(p=0.5), draws()

        def update(*given):
            with recording():
                return learn.update_networks(both, optimizers, config, *given)

        losses = [step(update, both, noisy_faces(), config, number, state, source) for number in range(2)]
        losses = [{name: loss.item() for name, loss in some.items()} for some in losses]
        generator = FaceGenerator(both.average, [1] * CLASSES, {})
        generator.network.set_means(64)
        faces = generator.synthesise(generator.sample_styles(3, source, gender="male"), source)
        assert faces.device.type == "cpu"
        return losses, faces

    names, learning = ("generator", "discriminator", "projected"), TrainConfig(projected=1.0)
    both = make_networks(learning=learning)
    with pretend_gpu() as device:
        theirs, faces = trained(both.to(device), Recording)
    ours, same = trained(make_networks(learning=learning))
    assert ours[0].keys() == {"generator", "path_length", "discriminator", "r1", "projected"}
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=1e-3)
    assert torch.allclose(same, faces, atol=1e-3)


def test_the_projected_discriminator_starts_after_its_delay():
    learning = TrainConfig(batch=4, projected=1.0, projected_from=0.01, path=0.0, r1=0.0)
    both, state, source = make_networks(learning=learning), State(), draws()
    update, first = make_update(both, learning), both.projected.judges[0].out.parametrizations.weight.original.clone()
    said = [step(update, both, noisy_faces(), learning, number, state, source) for number in range(4)]
    assert ["projected" in losses for losses in said] == [False, False, False, True], "after 10 faces"
    assert not torch.equal(first, both.projected.judges[0].out.parametrizations.weight.original)


def test_batches_are_sorted_by_class():
    """So that discriminators compare them with one another."""
    faces = noisy_faces()
    drawn = learn.draw_batch(make_networks().generator, faces, TrainConfig(batch=32), p=0.0, path=False, draws=draws())
    assert torch.equal(drawn["classes"], drawn["classes"].sort().values)
    assert len(set(drawn["classes"].tolist())) > 4
    known = {
        (face / 127.5 - 1).sum().item(): k for face, k in zip(faces.images.float(), faces.classes.tolist(), strict=True)
    }
    for picture, k in zip(drawn["reals"], drawn["classes"].tolist(), strict=True):
        nearest = min(known, key=lambda total: abs(total - picture.sum().item()))
        assert known[nearest] == k


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records")
def test_a_cuda_graph_gives_the_same_results():
    """The same losses as without recording, for each kind of step, before and after it is recorded."""
    learning = TrainConfig(batch=8, projected=1.0, r1_every=4, path_every=2)
    ends = []
    for recorded in (False, True):
        both, state, source = make_networks(learning=learning).cuda(), State(p=0.5), draws()
        update = make_update(both, learning)
        if recorded:
            update = Recorded(update)
        losses = [step(update, both, noisy_faces(), learning, number, state, source) for number in range(24)]
        assert not recorded or len(update.graphs) == 3
        ends.append([{name: loss.item() for name, loss in some.items()} for some in losses] + [state.r_t, state.p])
    for eager, replayed in zip(*ends, strict=True):
        assert replayed == pytest.approx(eager, rel=0.02, abs=0.02)


def test_the_projected_discriminator_changes_the_generator_only():
    """Two steps that differ in its weight only change the generator differently, and the other discriminator equally."""
    moved = []
    for weight in (1e-9, 10.0):
        learning = TrainConfig(batch=4, projected=weight, path=0.0, r1=0.0)
        both = make_networks(learning=learning)
        step(make_update(both, learning), both, noisy_faces(), learning, 1, State(), draws())
        moved.append(both)
    a, b = (torch.cat([p.flatten() for p in both.generator.parameters()]) for both in moved)
    assert (a - b).abs().max() > 1e-3
    a, b = (torch.cat([p.flatten() for p in both.discriminator.parameters()]) for both in moved)
    assert torch.equal(a, b)


def test_a_trained_generator_is_refined_without_stylegans_discriminator():
    """First the judges learn alone; then the generator takes part. There is neither R1 nor adaptive augmentation."""
    learning = TrainConfig(batch=4, own=0.0, projected=1.0, alone=0.006, path=0.0, balance=0.5, precision="bfloat16")
    learning = dataclasses.replace(learning, classify=0.5)
    both, state, source = make_networks(learning=learning), State(), draws()
    assert both.discriminator is None
    update, first = make_update(both, learning), both.generator.constant.clone()
    for number, same in enumerate((True, True, False)):
        losses = step(update, both, noisy_faces(), learning, number, state, source)
        assert losses.keys() == {"projected", "class"}
        assert all(map(torch.isfinite, losses.values()))
        assert torch.equal(both.generator.constant, first) == same
        assert torch.equal(both.average.constant, first) == same
    assert (state.p, state.r_t) == (0, 0)


def test_classes_cannot_be_told_apart_without_labels():
    with pytest.raises(InputError, match="conditional"):
        Networks(dataclasses.replace(SMALL, conditional=False), TrainConfig(classify=1.0))


def test_a_pair_costs_the_relativistic_discriminator_what_separates_it():
    """The loss falls with the margin of each pair, not with the mean of all; depths count the same."""
    even = relativistic([torch.ones(4, 1), torch.ones(4, 64)], [torch.zeros(4, 1), torch.zeros(4, 64)])
    assert even.item() == pytest.approx(math.log(1 + math.exp(-1)))
    mine = torch.tensor([[5.0], [-3.0], [1.0], [1.0]])  # the same mean
    assert relativistic([mine], [torch.zeros(4, 1)]) > even
    assert relativistic([torch.zeros(4, 1)], [mine]) > relativistic([torch.ones(4, 1)], [torch.zeros(4, 1)])
