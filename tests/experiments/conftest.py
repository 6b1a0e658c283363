"""What tests of several scripts need."""

import pytest

from kaokore import write_fake_kaokore


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small made-up KaoKore; tests of classifiers and dreams make larger ones of their own."""
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=24))
