"""The names of `renderer`: imported when used, and those of version 0.1 with a warning."""

import subprocess
import sys

import pytest

import renderer

HEAVY = {"PIL", "av", "contourpy", "cv2", "gymnasium", "kornia", "matplotlib", "skimage", "torchvision"}


def test_public_names_exist() -> None:
    assert sorted(renderer.__all__) == sorted(renderer._HOME)
    for name in renderer.__all__:
        assert getattr(renderer, name) is not None
        assert name in dir(renderer)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        renderer.Nothing  # noqa: B018


@pytest.mark.parametrize("old", ["Film", "PictureError", "Renderer", "read_picture", "show_film"])
def test_old_names_warn(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"renderer\.{old} is now renderer\.") as warned:
        found = getattr(renderer, old)
    assert found is getattr(renderer, str(warned[0].message).split()[-1].removeprefix("renderer.").rstrip("."))
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    "names", ["renderer", "renderer.brush, renderer.canvas, renderer.constraints, renderer.learned.load"]
)
def test_imports_are_light(names: str) -> None:
    code = f"import sys, {names}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())
