"""Which faces are annotated, and in which order."""

from pathlib import Path

import pytest
import torch

from kaokore import KaoKore, image_name
from kaokore.annotate.collection import (
    apply_corrections,
    collect_folder,
    collect_kaokore,
    entropy,
    predict_faces,
    sort_faces,
)
from kaokore.annotate.label_table import Known
from kaokore.annotate.queue import Face
from renderer.errors import InputError
from tests.kaokore.annotate.examples import brightness, write_images


def test_uncertain_faces_come_first_and_unreadable_ones_are_left_out(tmp_path):
    write_images(tmp_path / "faces", bright=250, middle=130, dark=3, dim=100)
    (tmp_path / "faces" / "broken.png").write_bytes(b"no picture")
    reasons = []
    faces = list(predict_faces(brightness(), collect_folder(tmp_path / "faces"), batch=3, skipped=reasons.append))
    assert [("broken.png" in reason) for reason in reasons] == [True]
    assert [face.name for face in sort_faces(faces, "uncertain")] == ["middle.png", "dim.png", "bright.png", "dark.png"]
    assert [face.name for face in sort_faces(faces, "given")] == ["bright.png", "dark.png", "dim.png", "middle.png"]
    assert [face.suggested for face in faces] == [0, 1, 1, 0]
    for face in faces:
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="--order wrong needs faces with a label"):
        sort_faces(faces, "wrong")


def test_the_least_probable_labels_come_first():
    faces = [
        Face("sure", Path(), (0.9, 0.1), 0),
        Face("free", Path(), (0.6, 0.4)),
        Face("wrong", Path(), (0.95, 0.05), 1),
        Face("torn", Path(), (0.5, 0.5), 1),
        Face("freer", Path(), (0.5, 0.5)),
    ]
    assert [face.name for face in sort_faces(faces, "wrong")] == ["wrong", "torn", "sure", "freer", "free"]


def test_entropy_is_largest_for_the_uniform():
    assert entropy([0.25] * 4) == pytest.approx(torch.tensor(4.0).log().item())
    assert entropy([0.0, 1.0]) == 0
    assert entropy([0.7, 0.1, 0.1, 0.1]) < entropy([0.4, 0.3, 0.2, 0.1])


def test_unlabelled_faces_are_those_without_an_official_label(fake_once):
    everything = KaoKore(fake_once, split="all", missing="skip")
    free = [image_name(i) for i, gender in zip(everything.ids, everything.genders, strict=True) if gender == -1]
    collection = collect_kaokore(fake_once, "1.1", "unlabelled")
    assert list(collection.images) == free != []
    assert all(path.is_file() for path in collection.images.values())
    assert len(collect_kaokore(fake_once, "1.1", "all").images) == len(everything)
    dev = predict_faces(brightness(), collect_kaokore(fake_once, "1.1", "dev"))
    assert [face.official for face in dev] == KaoKore(fake_once, split="dev", missing="skip").genders


def test_an_earlier_table_replaces_official_labels(fake_once, tmp_path):
    (tmp_path / "genders.csv").write_text("image,gender,status\n7,female,\n")
    collection = collect_kaokore(fake_once, "1.1", "all")
    changed = apply_corrections(collection, tmp_path / "genders.csv").known["00000007.jpg"]
    assert changed == collection.known.get("00000007.jpg", Known())._replace(gender=1)
