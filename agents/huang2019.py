"""Learning to Paint (Huang, Heng, Zhou; ICCV 2019, arXiv:1903.04411): networks, replay memory and training.

The actor maps canvas, target, step and coordinates to a bundle of strokes a = pi(s). Model-based DDPG (section 3.3.1)
evaluates a bundle through the differentiable brush, by the canvas s' that it leads to:

    Q(s, a) = r(s, a) + discount * V(s'),    s' = step(s, a),    V(s') = critic(s')

so that the gradient of Q with respect to the actor's weights passes through the pixels. The reward r (section 3.3.3) is
the increase of the score of a Wasserstein discriminator, which is trained at the same time, or the decrease of the L2
distance to the target.

    learner = LearningToPaint(renderer, CPU)
    while True:
        learner.rollout(targets, generator)       # one episode, stored in the memory
        for _ in range(CPU.updates):
            learner.update(progress, generator)   # discriminator, critic, actor, slow copies

`model_based=False` is the paper's ablation: the original DDPG, whose critic takes state and action instead of the next
state. Departures from the authors' code: background and brush are those of this project; the networks are torchvision's
ResNet with the paper's inputs, normalisation and activations; the discriminator averages its last map at any size.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from agents import mdp as dynamics
from agents.mdp import Reward, State
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.learned.ema import update_ema
from renderer.strokes import BEZIER, StrokeSpace


@dataclass(frozen=True)
class Huang2019Config:
    """The numbers of the method; the defaults are those of the authors' code."""

    size: int = 128
    """Side of the canvas in pixels."""
    steps: int = 40
    """Bundles in an episode."""
    bundle: int = 5
    """Strokes in a bundle."""
    environments: int = 96
    """Canvases painted in parallel."""
    batch: int = 96
    """Transitions in an update."""
    updates: int = 10
    """Updates after each episode."""
    warmup: int = 10
    """Episodes before the first update, which only fill the memory."""
    memory: int = 800
    """Capacity of the replay memory, in episodes of one canvas."""
    discount: float = 0.95**5
    """Discount factor per bundle."""
    tau: float = 0.001
    """Weight of the new parameters in an update of the slow copies (target networks)."""
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    """Residual blocks of each stage; these are ResNet-18's."""
    reward: Literal["wgan", "l2"] = "wgan"
    """Increase of the discriminator's score, or decrease of the L2 distance."""
    model_based: bool = True
    """Whether the critic evaluates the next state; False is the original DDPG, an ablation of the paper."""
    noise: float = 0.0
    """Standard deviation of the exploration noise on actions."""
    actor_rate: float = 1e-3
    """Adam's learning rate for the actor."""
    critic_rate: float = 3e-4
    """Adam's learning rate for the critic."""
    decay: float = 0.3
    """Factor of both learning rates after `decay_after`."""
    decay_after: float = 0.2
    """Fraction of the training after which the learning rates are lower."""


PAPER = Huang2019Config()
CPU = Huang2019Config(
    size=64,
    environments=16,
    batch=24,
    updates=20,
    warmup=2,
    memory=240,
    tau=0.01,
    blocks=(1, 1, 1, 1),
    noise=0.02,
    decay_after=0.7,
)
TINY = Huang2019Config(
    size=32, steps=3, bundle=2, environments=2, batch=4, updates=2, warmup=1, memory=4, blocks=(1, 1, 1, 1)
)


class Actor(nn.Module):
    """Maps an observation (B, 9, H, W) to a bundle of strokes (B, bundle, P) in [0, 1]; a ResNet."""

    def __init__(
        self, size: int, steps: int, bundle: int, blocks: tuple[int, ...], space: StrokeSpace = BEZIER
    ) -> None:
        from torchvision.models.resnet import BasicBlock, ResNet  # here, because it takes over a second

        if not (32 <= size <= 1024 and 1 <= steps <= 10_000 and 1 <= bundle <= 1000):
            raise ValueError(f"an actor has no canvas of {size} pixels, {steps} steps and bundles of {bundle} strokes")
        if len(blocks) != 4 or not all(1 <= count <= 100 for count in blocks):
            raise ValueError(f"an actor has four stages of 1 to 100 blocks, not {blocks}")
        super().__init__()
        self.size, self.steps, self.bundle, self.space = size, steps, bundle, space
        self.network = ResNet(BasicBlock, list(blocks), num_classes=bundle * space.width)
        self.network.conv1 = nn.Conv2d(9, 64, 3, 2, 1, bias=False)

    def forward(self, observation: Tensor) -> Tensor:
        """Return the bundle, the first stroke at the bottom."""
        raw: Tensor = self.network(observation)
        return raw.sigmoid().view(len(raw), self.bundle, self.space.width)


class TReLU(nn.Module):
    """Translated ReLU with a learned threshold (Xiang and Li 2017), max(x, threshold), used with weight normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum of x and the threshold."""
        return F.relu(x - self.threshold) + self.threshold


def make_critic(planes: int, blocks: tuple[int, ...]) -> nn.Module:
    """A ResNet (B, planes, H, W) -> (B, 1) with weight normalisation instead of batch normalisation, and TReLU."""
    from torchvision.models.resnet import BasicBlock, ResNet

    network = ResNet(BasicBlock, list(blocks), num_classes=1, norm_layer=lambda _: nn.Identity())
    network.conv1 = nn.Conv2d(planes, 64, 3, 2, 1)
    network.relu = TReLU()
    for module in network.modules():
        if isinstance(module, BasicBlock):
            module.relu = TReLU()
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            if module.bias is None:
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
            weight_norm(module)
    return network


class Discriminator(nn.Module):
    """Wasserstein critic: canvas and target, each (B, 3, H, W) in [0, 1], -> score (B,), high for equal images."""

    def __init__(self) -> None:
        super().__init__()
        channels = (6, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [weight_norm(nn.Conv2d(before, after, 5, 2, 2)), TReLU()]
        self.layers = nn.Sequential(*layers, weight_norm(nn.Conv2d(128, 1, 5, 2, 2)))

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        score: Tensor = self.layers(torch.cat((target, canvas), 1))
        return score.mean((1, 2, 3))


class Memory(nn.Module):
    """Replay memory of whole episodes: canvases and targets as bytes, actions as floats. The oldest are overwritten."""

    def __init__(self, config: Huang2019Config, width: int) -> None:
        super().__init__()
        M, T, S = config.memory, config.steps, config.size
        self.canvases: Tensor
        self.targets: Tensor
        self.actions: Tensor
        self.count: Tensor
        self.register_buffer("canvases", torch.zeros(M, T + 1, 3, S, S, dtype=torch.uint8))
        self.register_buffer("targets", torch.zeros(M, 3, S, S, dtype=torch.uint8))
        self.register_buffer("actions", torch.zeros(M, T, config.bundle, width))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def append(self, states: list[State], actions: list[Tensor]) -> None:
        """Store an episode of several canvases: T + 1 states and T actions (B, bundle, P)."""
        canvases, taken = torch.stack([state.canvas for state in states], 1), torch.stack(actions, 1)
        for canvas, target, action in zip(canvases, states[0].target, taken, strict=True):
            slot = int(self.count) % len(self.canvases)
            self.canvases[slot], self.targets[slot] = (canvas * 255).round().byte(), (target * 255).round().byte()
            self.actions[slot] = action
            self.count += 1

    def sample(self, n: int, generator: torch.Generator) -> tuple[State, Tensor, State]:
        """Return states, actions and next states of `n` random transitions."""
        filled = min(int(self.count), len(self.canvases))
        episode = torch.randint(filled, (n,), generator=generator)
        step = torch.randint(self.actions.shape[1], (n,), generator=generator)
        device = self.canvases.device
        target = self.targets[episode].float() / 255
        before = State(self.canvases[episode, step].float() / 255, target, step.to(device))
        after = State(self.canvases[episode, step + 1].float() / 255, target, step.to(device) + 1)
        return before, self.actions[episode, step], after


@dataclass(frozen=True)
class Update:
    """Figures of an update.

    value_loss: loss of the critic
    value: mean value Q of the actor's bundles
    true, false: mean scores of the discriminator for targets and for canvases; 0 without a discriminator
    """

    value_loss: float
    value: float
    true: float
    false: float


class LearningToPaint:
    """Networks, their slow copies, optimisers and memory; `modules()` returns all that a resumed training needs."""

    def __init__(self, renderer: Brush, config: Huang2019Config, device: torch.device | str = "cpu") -> None:
        self.renderer, self.config = renderer, config
        width = renderer.space.width
        self.actor = Actor(config.size, config.steps, config.bundle, config.blocks, renderer.space).to(device)
        planes = 12 if config.model_based else 9 + config.bundle * width
        self.critic = make_critic(planes, config.blocks).to(device)
        self.discriminator = Discriminator().to(device)
        self.memory = Memory(config, width).to(device)
        self.slow_actor, self.slow_critic, self.slow_discriminator = (
            copy.deepcopy(network).requires_grad_(False) for network in (self.actor, self.critic, self.discriminator)
        )
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters())
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters())
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), 3e-4, betas=(0.5, 0.999))
        l2 = dynamics.decrease(dynamics.relative(dynamics.mse))
        self.reward: Reward = self._score_gained if config.reward == "wgan" else l2

    def modules(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that changes during training, by name."""
        changing = (nn.Module, torch.optim.Optimizer)
        return {name: value for name, value in vars(self).items() if isinstance(value, changing) and name != "renderer"}

    @torch.no_grad()
    def rollout(self, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Paint targets (B, 3, H, W) in [0, 1] from blank canvases, store the episode, return the finished canvases."""
        self.actor.eval()
        states, actions = [dynamics.begin(targets)], []
        while not dynamics.finished(states[-1], self.config.steps).all():
            action = self.actor(dynamics.observe(states[-1], self.config.steps))
            noise = torch.randn(action.shape, generator=generator).to(action)
            actions.append((action + self.config.noise * noise).clamp(0, 1))
            states.append(dynamics.step(states[-1], actions[-1], self.renderer))
        self.memory.append(states, actions)
        self.actor.train()
        return states[-1].canvas

    def update(self, progress: float, generator: torch.Generator) -> Update:
        """Update every network once on a batch of stored transitions (section 3.3).

        Args:
            progress: Fraction of the training that is done, in [0, 1], for the learning rates.
            generator: Source of the batch and of the gradient penalty's interpolation, on the CPU.
        """
        factor = self.config.decay if progress >= self.config.decay_after else 1.0
        self.actor_optimizer.param_groups[0]["lr"] = factor * self.config.actor_rate
        self.critic_optimizer.param_groups[0]["lr"] = factor * self.config.critic_rate
        state, action, after = self.memory.sample(self.config.batch, generator)
        true = false = 0.0
        if self.config.reward == "wgan":
            true, false = self._update_discriminator(after, generator)

        with torch.no_grad():
            later, _ = self._value(self.slow_critic, after, self._act(self.slow_actor, after))
            unfinished = ~dynamics.finished(after, self.config.steps)
        value, reward = self._value(self.critic, state, action)
        goal = reward.detach() + self.config.discount * unfinished * later
        value_loss = F.mse_loss(value, goal)
        _descend(self.critic_optimizer, value_loss)

        value, _ = self._value(self.critic, state, self._act(self.actor, state))
        _descend(self.actor_optimizer, -value.mean())

        update_ema(self.slow_actor, self.actor, 1 - self.config.tau)
        update_ema(self.slow_critic, self.critic, 1 - self.config.tau)
        return Update(value_loss.item(), value.mean().item(), true, false)

    def _act(self, actor: nn.Module, state: State) -> Tensor:
        action: Tensor = actor(dynamics.observe(state, self.config.steps))
        return action

    def _value(self, critic: nn.Module, state: State, action: Tensor) -> tuple[Tensor, Tensor]:
        """Q(s, a) and the reward, each (B,)."""
        if self.config.model_based:
            after = dynamics.step(state, action, self.renderer)
            reward = self.reward(state, after)
            seen = torch.cat((state.canvas, dynamics.observe(after, self.config.steps)), 1)
            return reward + critic(seen)[:, 0], reward
        with torch.no_grad():
            reward = self.reward(state, dynamics.step(state, action, self.renderer))
        planes = action.flatten(1)[..., None, None].expand(-1, -1, *state.canvas.shape[-2:])
        return critic(torch.cat((dynamics.observe(state, self.config.steps), planes), 1))[:, 0], reward

    def _score_gained(self, before: State, after: State) -> Tensor:
        # The slow copy is used because the critic could not follow a reward that changes with every update.
        score = self.slow_discriminator
        gained: Tensor = score(after.canvas, after.target) - score(before.canvas, before.target)
        return gained

    def _update_discriminator(self, state: State, generator: torch.Generator) -> tuple[float, float]:
        """WGAN with gradient penalty (Gulrajani et al. 2017, equation 3); real pairs are (target, target)."""
        canvas, target, _ = state
        true, false = self.discriminator(target, target), self.discriminator(canvas, target)
        between = torch.rand(len(canvas), 1, 1, 1, generator=generator).to(canvas)
        mixed = (between * target + (1 - between) * canvas).requires_grad_()
        (slope,) = torch.autograd.grad(self.discriminator(mixed, target).sum(), mixed, create_graph=True)
        penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        _descend(self.discriminator_optimizer, false.mean() - true.mean() + penalty)
        update_ema(self.slow_discriminator, self.discriminator, 1 - self.config.tau)
        return true.mean().item(), false.mean().item()


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    # Only this optimiser's parameters get gradients: the actor's loss also depends on the critic's parameters.
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


@torch.no_grad()
def paint_in_bundles(
    actor: Actor,
    renderer: Brush,
    canvas: Tensor,
    target: Tensor,
    count: int,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Paint one image with exactly `count` strokes.

    The actor sees canvas and target at the size of its training. After the steps of its training it repeats the last.

    Args:
        actor: Trained actor, in evaluation mode.
        renderer: Brush of the actor's stroke space.
        canvas: Canvas to start from (3, H, W) in [0, 1], of any size.
        target: Image to paint (3, H, W) in [0, 1].
        count: Number of strokes.
        constraints: Constraints of the strokes.

    Yields:
        The canvas and the strokes (n, P) of each bundle.
    """
    side = (actor.size, actor.size)
    done = step = 0
    while done < count:
        seen, wanted = (F.interpolate(image[None], side, mode="area") for image in (canvas, target))
        state = State(seen, wanted, torch.tensor([min(step, actor.steps - 1)], device=canvas.device))
        strokes = constraints.apply(actor(dynamics.observe(state, actor.steps))[0, : count - done], actor.space)
        canvas = paint(canvas, strokes, renderer)
        done, step = done + len(strokes), step + 1
        yield canvas, strokes
