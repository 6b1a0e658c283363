"""A small picture, and painters that are loaded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.document import Document
from studio.painters import Painters
from studio.presets import Settings

QUICK = Settings(strokes=6, size=32)


@pytest.fixture(scope="session")
def painters() -> Painters:
    return Painters()


@pytest.fixture
def picture() -> Tensor:
    """Half ochre, half blue, 40 pixels wide and 30 high."""
    picture = torch.tensor([0.8, 0.6, 0.3])[:, None, None].repeat(1, 30, 40)
    picture[:, :, 20:] = torch.tensor([0.1, 0.2, 0.6])[:, None, None]
    return picture


@pytest.fixture
def document(tmp_path: Path, picture: Tensor, painters: Painters) -> Iterator[Document]:
    document = Document.create(tmp_path / "face", picture, painters, QUICK)
    yield document
    document.close()


@pytest.fixture
def painted(document: Document) -> Document:
    for _ in document.paint():
        pass
    return document
