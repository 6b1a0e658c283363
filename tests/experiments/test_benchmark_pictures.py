"""The benchmark of pictures: its table, going on, and the stand-in for another painter."""

import csv
import os
import stat
from pathlib import Path

import pytest
import torch

from experiments.benchmark_pictures import Config, benchmark_pictures, paint_with_primitive, summarise
from renderer.errors import InputError
from renderer.io.images import write_png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, size in enumerate(((12, 18), (20, 16))):
        write_png(torch.rand(3, *size, generator=torch.Generator().manual_seed(i)), folder / f"{i}.png")
    return folder


def test_a_row_for_each_painting_and_a_table(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(str(photos), strokes=(3, 9), methods=("optimize", "agent"), steps=8, out=str(tmp_path / "out"))
    rows = benchmark_pictures(config)
    assert [(row["input"], row["size"]) for row in rows[::4]] == [("0.png", "18x12"), ("1.png", "16x20")]
    assert len(rows) == 8
    psnr = {(row["input"], row["method"], row["strokes"]): row["psnr"] for row in rows}
    assert psnr["0.png", "agent", 9] > psnr["0.png", "agent", 3]
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| method | strokes | pictures | PSNR (dB) | SSIM |")
    assert len(table) == 2 + 4

    # A run that was interrupted goes on: nothing is painted again.
    monkeypatch.setattr("experiments.benchmark_pictures.paint_image", None)
    assert benchmark_pictures(config) == rows
    with pytest.raises(InputError, match="another configuration"):
        benchmark_pictures(Config(str(photos), out=str(tmp_path / "out")))
    with (tmp_path / "out" / "benchmark.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_the_summary_is_the_mean_over_the_pictures() -> None:
    common = {"method": "agent", "strokes": 5, "ssim": 0.5, "perceptual": 0.1, "seconds": 1.0}
    (found,) = summarise([{**common, "psnr": 20.0}, {**common, "psnr": 22.0}])
    assert (found["psnr"], found["psnr_standard_error"], found["pictures"]) == (21.0, 1.0, 2)


def test_another_painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the command: it copies its input."""
    command = tmp_path / "primitive"
    command.write_text('#!/bin/sh\nif [ "$6" = 1 ]; then echo "no luck" >&2; exit 1; fi\ncp "$2" "$4"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    picture = torch.rand(3, 12, 18)
    painted, seconds = paint_with_primitive(picture, 5, 6)
    assert (painted - picture).abs().max() < 1 / 255
    assert seconds > 0
    with pytest.raises(InputError, match="primitive failed: no luck"):
        paint_with_primitive(picture, 1, 6)


def test_what_is_missing_is_said(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="primitive is not installed"):
        benchmark_pictures(Config(str(photos), methods=("primitive-beziers",), out=str(tmp_path / "out")))
    for wrong in ({"strokes": ()}, {"size": 0}, {"seconds": float("nan")}, {"steps": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=f"^--{next(iter(wrong))} "):
            benchmark_pictures(Config(str(photos), out=str(tmp_path / "out"), **wrong))  # type: ignore[arg-type]
