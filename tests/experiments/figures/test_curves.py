import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from experiments.figures.curves import Config, curves
from renderer.errors import InputError
from renderer.io.training_curves import read_curve


@pytest.fixture
def folder(tmp_path):
    """A run that was stopped after four steps, saved after two, and resumed."""
    for first, last in ((1, 4), (3, 6)):
        with SummaryWriter(tmp_path / "run", filename_suffix=f".{first}") as board:
            for step in range(first, last + 1):
                board.add_scalar("train/mse", 1 / step, step)
    return tmp_path / "run"


def test_a_resumed_run_is_one_curve(folder):
    steps, values = read_curve(folder, "train/mse")
    assert steps == [1, 2, 3, 4, 5, 6]
    assert values == pytest.approx([1 / step for step in steps])


def test_a_figure(folder, tmp_path):
    path = curves(
        Config((str(folder), str(folder)), names=("one", "other"), smooth=2, out=str(tmp_path / "new" / "c.png"))
    )
    picture = Image.open(path)
    assert picture.width > 300
    assert len(picture.convert("RGB").getcolors(1_000_000)) > 10


@pytest.mark.parametrize(
    ("change", "words"),
    [({"tag": "dev/mse"}, "it has train/mse"), ({"names": ("a", "b")}, "--names"), ({"smooth": 0}, "--smooth")],
)
def test_invalid_options_are_reported_in_one_line(folder, tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        curves(Config((str(folder),), out=str(tmp_path / "c.png"), **change))
    assert not (tmp_path / "c.png").exists()


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        curves(Config((str(tmp_path / "none"),)))
    with pytest.raises(InputError, match="Give run folders"):
        curves(Config(()))
