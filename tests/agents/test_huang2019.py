"""Learning to Paint: replay memory, updates of every network, rewards, and a lower error after training."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from agents import mdp as dynamics
from agents.huang2019 import PAPER, TINY, Actor, LearningToPaint, make_critic, paint_in_bundles
from renderer.brush import Brush, load_brush
from renderer.canvas import blank, paint
from renderer.constraints import StrokeConstraints
from renderer.strokes import BEZIER


@pytest.fixture(scope="module")
def renderer() -> Brush:
    return load_brush("bezier")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def targets(n: int = 2, size: int = 32) -> Tensor:
    """A dark disc on a coloured background, at different places."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    centre = torch.linspace(0.35, 0.65, n)[:, None, None]
    inside = (((x - centre) ** 2 + (y - 0.5) ** 2) < 0.06).float()[:, None]
    return inside * 0.1 + (1 - inside) * torch.tensor([0.8, 0.6, 0.4])[:, None, None]


def test_the_papers_numbers() -> None:
    assert (PAPER.size, PAPER.steps, PAPER.bundle, PAPER.batch) == (128, 40, 5, 96)
    assert PAPER.discount == pytest.approx(0.774, abs=1e-3)
    actor = Actor(PAPER.size, PAPER.steps, PAPER.bundle, PAPER.blocks)
    convolutions = [module for module in actor.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 17 + 3, "ResNet-18: 17 on the main path, 3 shortcuts"
    assert convolutions[0].in_channels == 9, "canvas 3, target 3, step 1, coordinates 2"


def test_the_memory_holds_the_transitions_of_the_last_episodes(renderer: Brush, generator: torch.Generator) -> None:
    torch.manual_seed(0)
    learner = LearningToPaint(renderer, replace(TINY, noise=0.2, memory=3))
    for _ in range(3):  # six episodes for a capacity of three
        finished = learner.rollout(targets(), generator)
    assert finished.shape == (2, 3, 32, 32)
    before, action, after = learner.memory.sample(40, generator)
    assert {int(step) for step in before.step} == {0, 1, 2}
    assert torch.equal(after.step, before.step + 1)
    expected = dynamics.step(before, action, renderer).canvas
    # Canvases are stored as bytes.
    torch.testing.assert_close(after.canvas, expected, rtol=0, atol=1.5 / 255)
    assert (before.canvas[before.step == 0] == 1).all()
    last = after.canvas[after.step == 3]
    nearest = (last[:, None] - finished[None]).abs().amax((2, 3, 4)).amin(1)
    assert (nearest < 1 / 255).any(), "the last episode is stored"


@pytest.mark.parametrize("model_based", [True, False])
def test_an_update_changes_every_network_and_its_slow_copy(
    renderer: Brush, generator: torch.Generator, model_based: bool
) -> None:
    torch.manual_seed(0)
    learner = LearningToPaint(renderer, replace(TINY, model_based=model_based, tau=0.5))
    learner.rollout(targets(), generator)
    before = {name: [value.clone() for value in module.parameters()] for name, module in networks(learner).items()}
    learner.update(0.0, generator)
    for name, module in networks(learner).items():
        still = [old for old, new in zip(before[name], module.parameters(), strict=True) if torch.equal(old, new)]
        # The discriminator's last bias cancels in its loss.
        assert len(still) == (1 if name == "discriminator" else 0) or name.startswith("slow"), name
    for name in ("actor", "critic", "discriminator"):
        fast, slow = getattr(learner, name), getattr(learner, f"slow_{name}")
        for old, a, b in zip(before[name], fast.parameters(), slow.parameters(), strict=True):
            torch.testing.assert_close(b, (old + a) / 2)


def networks(learner: LearningToPaint) -> dict[str, torch.nn.Module]:
    changing = learner.modules()
    assert "renderer" not in changing
    return {name: thing for name, thing in changing.items() if isinstance(thing, torch.nn.Module) and name != "memory"}


def test_learning_rates_decrease(renderer: Brush, generator: torch.Generator) -> None:
    learner = LearningToPaint(renderer, replace(TINY, decay=0.25, decay_after=0.5))
    learner.rollout(targets(), generator)
    for progress, factor in ((0.4, 1.0), (0.6, 0.25)):
        learner.update(progress, generator)
        assert learner.actor_optimizer.param_groups[0]["lr"] == factor * TINY.actor_rate
        assert learner.critic_optimizer.param_groups[0]["lr"] == factor * TINY.critic_rate


def test_the_model_based_actor_learns_to_paint(renderer: Brush, generator: torch.Generator) -> None:
    torch.manual_seed(0)
    learner = LearningToPaint(renderer, replace(TINY, reward="l2", batch=8, memory=20, tau=0.05))
    errors = []
    for _ in range(9):
        errors.append(float((learner.rollout(targets(), generator) - targets()).square().mean()))
        for _ in range(3):
            learner.update(0.0, generator)
    assert min(errors[-3:]) < 0.4 * errors[0]


def test_the_model_free_critic_predicts_rewards_of_actions(renderer: Brush, generator: torch.Generator) -> None:
    torch.manual_seed(0)
    learner = LearningToPaint(
        renderer,
        replace(TINY, reward="l2", model_based=False, batch=8, memory=20, noise=0.5, steps=1, critic_rate=1e-3),
    )
    for _ in range(10):
        learner.rollout(targets(), generator)
    before, action, after = learner.memory.sample(200, generator)
    spread = learner.reward(before, dynamics.step(before, action, renderer)).var()
    losses = [learner.update(0.0, generator).value_loss for _ in range(20)]
    assert sum(losses[-5:]) / 5 < 0.7 * spread, "better than always guessing the mean"
    assert after.step.eq(1).all()


def test_the_discriminator_separates_paintings_from_targets(renderer: Brush, generator: torch.Generator) -> None:
    torch.manual_seed(0)
    learner = LearningToPaint(renderer, replace(TINY, tau=0.2))
    learner.rollout(targets(), generator)
    gaps = [update.true - update.false for update in (learner.update(0.0, generator) for _ in range(12))]
    assert sum(gaps[-3:]) / 3 > gaps[0] + 0.1
    # The increase of its score is the reward: positive for a step towards the target, zero for none.
    state = dynamics.begin(targets())
    near = state._replace(canvas=0.2 * state.canvas + 0.8 * state.target)
    assert (learner.reward(state, near) > 0).all()
    assert (learner.reward(state, state) == 0).all()


def test_a_critic_has_no_batch_statistics() -> None:
    torch.manual_seed(0)
    critic = make_critic(12, (1, 1, 1, 1))
    x = torch.rand(3, 12, 32, 32)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 4, 5, 23])
@pytest.mark.parametrize("size", [(32, 32), (20, 50), (100, 90)])
def test_any_size_and_any_number_of_strokes(renderer: Brush, size: tuple[int, int], count: int) -> None:
    torch.manual_seed(0)
    actor = Actor(32, 3, 2, (1, 1, 1, 1)).eval()
    target = F.interpolate(targets(1), size)[0]
    parts = list(
        paint_in_bundles(actor, renderer, blank(size), target, count, constraints=StrokeConstraints(opaque=True))
    )
    strokes = torch.cat([new for _, new in parts])
    assert strokes.shape == (count, 13)
    assert (BEZIER.get(strokes, "opacity") == 1).all()
    torch.testing.assert_close(parts[-1][0], paint(blank(size), strokes, renderer), rtol=0, atol=1e-5)
