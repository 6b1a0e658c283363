"""The check of painting on a GPU: options are refused before anything is measured."""

from pathlib import Path
from typing import Any

import pytest

from experiments.gpu_check import Config, gpu_check
from renderer.errors import InputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "x"}, "device 'x'"),
        ({"parts": "x"}, "--parts"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"counts": (0,)}, "--counts"),
        ({"sizes": ("0x9",)}, "--sizes"),
        ({"sizes": ("x",)}, "--sizes"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gpu_check(Config(**{"device": "cpu", "json": str(tmp_path / "gpu.json"), **options}))
    assert not list(tmp_path.iterdir())
