"""The wheel, built and installed into an empty folder, paints away from the repository and beside a foreign `agents`."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import agents
assert agents.ours is False
import kaokore_painter
from kaokore_painter import Painter, Painting
assert kaokore_painter.__file__.startswith({site!r})
painting = Painter("agent", brush="ink").paint({picture!r}, strokes=5, size=32)
painting.save("face.safetensors")
assert Painting.load("face.safetensors").render(32).shape == painting.render(32).shape
import gymnasium, kaokore_painter.agents
gymnasium.make("KaoKorePaint-v0")
import sys
ours = ("renderer", "painter", "kaokore", "studio", "experiments")
assert not [name for name in sys.modules if name.partition(".")[0] in ours]
assert [name for name in sys.modules if name.partition(".")[0] == "agents"] == ["agents"]
import importlib
for name in {modules!r}:
    importlib.import_module(name)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel; a copy of the sources is built, so that nothing is left behind."""
    folder = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "site", "tests", "images", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=skip)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, folder / "source"]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kaokore_painter"}
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    foreign = folder / "foreign" / "agents"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("ours = False\n", encoding="utf-8")
    return folder / "site"


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{site.parent / 'foreign'}{os.pathsep}{site}"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_api_and_modules_work_beside_another_package_called_agents(site: Path, tmp_path: Path) -> None:
    picture = str(ROOT / "docs" / "images" / "hikime.png")
    modules = sorted(
        ".".join(path.relative_to(site).with_suffix("").parts)
        for path in (site / "kaokore_painter").rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py") and "triton" not in path.name
    )
    assert len(modules) > 100
    done = run(site, tmp_path, "-c", PROGRAM.format(site=str(site), picture=picture, modules=modules))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_commands_work_and_name_themselves_as_they_are_called(site: Path, tmp_path: Path) -> None:
    picture = str(ROOT / "docs" / "images" / "hikime.png")
    options = ["--strokes", "5", "--size", "32", "--no-video"]
    done = run(site, tmp_path, "-m", "kaokore_painter", "paint", picture, "--out", "paintings", *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "paintings" / "hikime" / "painting.svg").is_file()
    shown = run(site, tmp_path, "-m", "kaokore_painter.experiments.replay", "--help")
    assert "python -m kaokore_painter.experiments.replay paintings/face" in shown.stdout


def test_types_sources_of_kernels_and_checkpoints_are_in_the_wheel(site: Path) -> None:
    package = site / "kaokore_painter"
    for name in ("", "renderer", "agents", "painter", "kaokore", "studio", "experiments"):
        assert (package / name / "py.typed").is_file()
    kernels = {path.name for path in (ROOT / "renderer" / "ops").glob("*.[ch]")}
    assert {path.name for path in (package / "renderer" / "ops").glob("*.[ch]")} == kernels
    for folder, pattern in (
        ("renderer/io", "*.js"),
        ("renderer/io", "player.*"),
        ("kaokore/annotate", "page.*"),
        ("studio/static", "*"),
    ):
        names = {path.name for path in (ROOT / folder).glob(pattern)}
        assert names
        assert names <= {path.name for path in (package / folder).iterdir()}
    shipped = {path.name for path in (ROOT / "checkpoints").glob("*.safetensors")}
    assert {path.name for path in (package / "checkpoints").iterdir()} == shipped
