"""What tests of several scripts need."""

from collections.abc import Iterator
from functools import partial

import pytest

from experiments import train_renderer
from experiments.figures.fidelity_sheet import sheet
from kaokore import write_fake_kaokore
from tests.experiments.tiny_agent import tiny_agent


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small generated KaoKore; tests of classifiers and StyleGAN make larger ones."""
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=24))


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small, untrained agent."""
    return tiny_agent(tmp_path_factory.mktemp("agent") / "tiny.safetensors")


@pytest.fixture(scope="module")
def small_sheets() -> Iterator[None]:
    """Sheets of learned strokes that take no longer than the tiny trainings that draw them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_renderer, "sheet", partial(sheet, columns=2, side=16))
        yield
