"""environment.yml, for conda, asks for what pyproject.toml asks for: no more, no less."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_conda_and_pip_ask_for_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert environment["name"] == project["name"]
    assert conda == ["python=" + project["requires-python"].removeprefix(">="), "pip"]
    assert sorted(pip["pip"]) == sorted(project["dependencies"] + project["optional-dependencies"]["dev"])
