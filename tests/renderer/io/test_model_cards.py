"""Model cards: written from the metadata, for the Hub, without paths of a machine or markup of the file."""

from pathlib import Path

import pytest
import torch
import yaml

from experiments.model_card import Config, write_card
from renderer.errors import InputError
from renderer.io.checkpoint import FOLDER, Checkpoint
from renderer.io.model_cards import KINDS, figures_of, model_card
from renderer.strokes import BEZIER


def test_shipped_cards_have_what_the_hub_reads() -> None:
    for name, licence in (("ink", "apache-2.0"), ("agent", "cc-by-sa-4.0"), ("kaokore-status", "cc-by-sa-4.0")):
        checkpoint = Checkpoint.load(name)
        card = model_card(checkpoint, name, "picture.png")
        _, head, text = card.split("---\n", 2)
        assert yaml.safe_load(head)["license"] == licence
        assert checkpoint.hash() in text
        assert "![" in text
        assert "/work" not in card
        for part in ("## Figures", "## Use", "## Limits", "## Training", "python -m experiments."):
            assert part in text, part
    assert "| warrior | 0.775 |" in card
    assert {Checkpoint.load(path.stem).kind for path in FOLDER.glob("*.safetensors")} <= set(KINDS)


def test_a_strange_checkpoint_gets_a_plain_card() -> None:
    about = {
        "alpha_mse": True,
        "dev_mse": "low",
        "seed": 3,
        "data": "<script>x</script> | a",
        "command": "x --root /data/me/faces",
    }
    made = Checkpoint("odd\n# kind", {}, {"w": torch.zeros(3)}, BEZIER, about)
    card = model_card(made, "a|b", "my (new) picture.png")
    assert figures_of(made) == {"Weights": "3", "Stroke space": "bezier, 13 columns", "Seed": "3"}
    assert "\n# kind" not in card
    assert "](my%20%28new%29%20picture.png)" in card
    assert "<script>" not in card.replace("\\<script\\>", "")
    assert "x --root faces" in card
    assert "This version does not know its kind." in card


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "README.md"
    assert write_card(Config("ink", str(out))) == out
    assert "# ink: learned brush of MyPaint" in out.read_text()
    assert capsys.readouterr().out == f"Wrote {out}.\n"
    monkeypatch.chdir(tmp_path)
    assert write_card(Config("ink")) == Path("ink.md")  # in a checkout, README.md is another file
    assert Path("ink.md").read_text() == out.read_text()
    for bad in (Config(), Config("ink", shipped=True), Config("nobody", str(out))):
        with pytest.raises(InputError):
            write_card(bad)
