"""What tests of several scripts need."""

import pytest

from kaokore import write_fake_kaokore


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small generated KaoKore; tests of classifiers and StyleGAN make larger ones."""
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=24))
