"""Recognizability: statistics against known values, rows after a crash, and a run from end to end."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.policy import Policy
from experiments.recognizability import paint as painting
from experiments.recognizability.paint import Faces, Paint, load_painters, paint, parse_painter
from experiments.recognizability.report import BEGIN, END, Report, fill, report
from experiments.recognizability.rows import NAMES, UNPAINTED, Row, Rows, read_rows
from experiments.recognizability.summary import paired, sufficient, summarise, wilson
from kaokore.classify import CLASSES
from kaokore.classify.classifier import Classifier
from kaokore.classify.networks import build
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.strokes import BEZIER

# --- statistics


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_of_newcombe(right, n, low, high):
    assert wilson(right, n) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_contain_the_share_and_are_symmetric(case):
    right, n = case
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert wilson(n - right, n) == pytest.approx((1 - high, 1 - low))


def test_paired_differences():
    before = [True] * 80 + [False] * 20
    after = [True] * 70 + [False] * 10 + [True] * 5 + [False] * 15  # loses 10, gains 5
    found = paired(before, after)
    assert found["mean"] == pytest.approx(0.05)
    # Normal approximation of the same: .05 +- 1.96 sqrt((.15 - .05^2) / 100).
    assert found["interval"] == pytest.approx([-0.0253, 0.1253], abs=0.011)
    assert paired(before, before) == {"mean": 0.0, "interval": [0.0, 0.0]}
    # Pairing matters: of independent samples the interval would be about .11 on either side.
    assert found["interval"][1] - found["interval"][0] < 0.17


@pytest.mark.parametrize(
    ("drops", "near", "points"),
    [
        ((0.3, 0.04, 0.02, 0.0), 20, 50),
        ((0.3, 0.0, 0.3, 0.0), 100, 100),
        ((0.3, 0.2, 0.1, 0.06), None, None),
        ((-0.1, 0.0, 0.0, -0.1), 10, 10),
    ],
)
def test_sufficient_strokes(drops, near, points):
    counts = (10, 20, 50, 100)
    cells = [
        {"strokes": count, "drop": {"mean": drop}, "standard_error": 0.05}
        for count, drop in zip(counts, drops, strict=True)
    ]
    assert sufficient(cells) == {"standard_error": near, "points": points}


def row(face, painter="agent", strokes=10, gender="male", said=None, status="noble", status_said=None, **rest):
    values = {"seed": 0, "brush": "reference", "mse": 0.01, "cpu_seconds": 1.0, **rest}
    answers = {"gender_answer": said or gender, "gender_probability": 0.75}
    answers |= {"status_answer": status_said or status, "status_probability": 0.5}
    return Row(face, painter, strokes, gender=gender, status=status, **answers, **values)


def example_rows():
    """Six men, two women; one woman is misclassified unpainted; with 10 strokes, the agent loses both women and two men."""
    faces = [("male", "male")] * 6 + [("female", "female"), ("female", "male")]
    rows = [row(i, UNPAINTED, 0, gender, said, mse=0.0) for i, (gender, said) in enumerate(faces)]
    few = ["female"] * 2 + ["male"] * 6
    rows += [row(i, "agent", 10, gender, few[i]) for i, (gender, _) in enumerate(faces)]
    rows += [row(i, "agent", 50, gender, said, mse=0.002) for i, (gender, said) in enumerate(faces)]
    rows += [row(i, "agent:ink", 10, faces[i][0], "male") for i in range(4)]
    return rows


def test_summary_of_known_answers():
    summary = summarise(example_rows())
    assert (summary["faces"], summary["reference"]) == (8, "agent")
    found = summary["tasks"]["gender"]
    assert found["floor"] == {"class": "male", "share": 6 / 8}
    assert found["unpainted"]["accuracy"]["share"] == 7 / 8
    assert found["unpainted"]["balanced_accuracy"] == 3 / 4
    few, many = found["painters"]["agent"]["cells"]
    assert (few["strokes"], few["accuracy"]["share"], few["mse"]) == (10, 4 / 8, pytest.approx(0.01))
    assert few["accuracy"]["interval"] == pytest.approx(list(wilson(4, 8)))
    assert few["recall"]["male"] == {"share": 4 / 6, "interval": list(wilson(4, 6)), "n": 6}
    assert few["recall"]["female"]["share"] == 0.0
    assert few["balanced_accuracy"] == pytest.approx(1 / 3)
    assert few["drop"]["mean"] == pytest.approx(3 / 8)
    assert few["agreement"]["share"] == 5 / 8  # the misclassified woman gets the same answer
    assert few["probability"] == 0.75
    assert few["against"] is None
    assert many["drop"] == {"mean": 0.0, "interval": [0.0, 0.0]}
    assert many["agreement"]["share"] == 1
    assert found["painters"]["agent"]["sufficient"] == {"standard_error": 50, "points": 50}
    # The other painter has four faces only and is compared on those.
    (ink,) = found["painters"]["agent:ink"]["cells"]
    assert (ink["accuracy"]["n"], ink["ceiling"], ink["drop"]["mean"]) == (4, 1.0, 0.0)
    assert (ink["against"]["faces"], ink["against"]["mean"]) == (4, 0.5)  # the agent lost two of these four
    # A class without faces has no share.
    status = summary["tasks"]["status"]["unpainted"]
    assert status["recall"]["warrior"] == {"share": None, "interval": None, "n": 0}
    assert status["balanced_accuracy"] == 1


def test_no_painted_rows():
    with pytest.raises(InputError, match="No face"):
        summarise([row(0, UNPAINTED, 0)])


# --- rows


def test_rows_are_read_back_without_an_incomplete_line(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [row(1), row(2, "lines:flat+ink", 50, mse=0.001234567)]
    file = Rows(path)
    for each in rows:
        file.append(each)
    file.close()
    whole = path.read_bytes()
    for torn in (b"3,agent,10,0,tr", b"3"):
        path.write_bytes(whole + torn)
        assert read_rows(path) == [rows[0], replace(rows[1], mse=0.00123457)]  # without changing the file
        assert path.read_bytes() == whole + torn
        file = Rows(path)
        assert file.done == {each.key for each in rows}
        file.append(row(3))
        file.close()
        assert path.read_bytes().startswith(whole)
        assert read_rows(path)[2:] == [row(3)]
    path.write_bytes(b"face,pain")  # incomplete header
    Rows(path).close()
    assert path.read_text() == ",".join(NAMES) + "\n"


def test_the_name_of_the_reference_brush_in_files_of_version_0_1(tmp_path):
    file = Rows(tmp_path / "rows.csv")
    file.append(row(1, brush="true"))
    file.close()
    assert read_rows(tmp_path / "rows.csv") == [row(1, brush="reference")]


def test_rows_are_locked_and_checked(tmp_path):
    path = tmp_path / "rows.csv"
    file = Rows(path)
    with pytest.raises(InputError, match="another process"):
        Rows(path)
    file.append(row(1))
    file.close()
    whole = path.read_text()
    path.write_text(whole.replace("agent,10", "agent,ten"))
    with pytest.raises(InputError, match="Line 2"):
        Rows(path)
    path.write_text(whole.replace("face,", "fate,"))
    with pytest.raises(InputError, match="columns"):
        read_rows(path)
    with pytest.raises(InputError, match="no painted faces"):
        read_rows(tmp_path / "none.csv")


# --- painting


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small untrained agent and small untrained classifiers."""
    folder, small = tmp_path_factory.mktemp("tiny"), {"width": 16, "blocks": 1, "each": 2}
    Checkpoint("policy", small, Policy(**small).state_dict(), BEZIER).save(folder / "agent.safetensors")
    for task, classes in CLASSES.items():
        network = build("mobilenet_v2", len(classes))
        Classifier("mobilenet_v2", task, 32, network, flip=False).save(folder / f"{task}.safetensors")
    return {name: str(folder / f"{name}.safetensors") for name in ("agent", *CLASSES)}


def options(root, tiny, out, **change):
    few = {"n": 2, "painters": ("agent", "hybrid"), "strokes": (6, 2), "size": 32, "steps": 3}
    return Paint(root, **{**tiny, **few, "out": str(out), **change})


def answers(rows):
    return [replace(each, cpu_seconds=0.0) for each in rows]


def test_from_end_to_end(root, tiny, tmp_path):
    config = options(root, tiny, tmp_path / "run")
    rows = read_rows(paint(config) / "rows.csv")
    faces = Faces(config).ids
    one = [(UNPAINTED, 0), ("agent", 2), ("hybrid", 2), ("agent", 6), ("hybrid", 6)]
    assert [each.key[:3] for each in rows] == [(face, *rest) for face in faces for rest in one]
    assert all(each.cpu_seconds > 0 and each.mse > 0 and each.brush == "reference" for each in rows if each.strokes)
    assert all(each.mse == 0 for each in rows if not each.strokes)
    by_key = {each.key[:3]: each for each in rows}
    for face in faces:
        assert by_key[face, "agent", 6].mse < by_key[face, "agent", 2].mse
        labels = Faces(config).load(face).labels
        assert (by_key[face, "hybrid", 2].gender, by_key[face, "hybrid", 2].status) == tuple(labels.values())
    # The probability is that of the true class: above one half exactly where the answer is right.
    assert all((each.gender_probability > 0.5) == each.right("gender") for each in rows)

    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"Before.\n\n{BEGIN}\nan earlier table\n{END}\n\nAfter.\n")
    summary = report(Report((config.out,), doc=str(page)))
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert summary["brush"] == ["reference"]
    text = page.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "| `hybrid` |" in text
    assert "an earlier table" not in text
    report(Report((config.out,), doc=str(page)))  # idempotent
    assert page.read_text() == text
    with Image.open(page.parent / "images" / "recognizability.png") as figure:
        assert figure.width > 1000


def test_a_killed_run_resumes_to_the_same_rows(root, tiny, tmp_path, monkeypatch):
    whole = read_rows(paint(options(root, tiny, tmp_path / "whole")) / "rows.csv")
    config = options(root, tiny, tmp_path / "killed")
    asked = painting._row

    def dies(key, *rest):
        if key == whole[4].key:
            raise KeyboardInterrupt
        return asked(key, *rest)

    monkeypatch.setattr(painting, "_row", dies)
    with pytest.raises(KeyboardInterrupt):
        paint(config)
    with (tmp_path / "killed" / "rows.csv").open("a") as file:
        file.write("12,agent,6")  # what a kill -9 leaves
    assert answers(read_rows(tmp_path / "killed" / "rows.csv")) == answers(whole[:4])
    done = []
    monkeypatch.setattr(painting, "_row", lambda key, *rest: done.append(key) or asked(key, *rest))
    paint(config)
    assert done == [each.key for each in whole[4:]]
    assert answers(read_rows(tmp_path / "killed" / "rows.csv")) == answers(whole)
    paint(config)
    assert len(done) == len(whole) - 4


def test_time_limits_and_joined_runs(root, tiny, tmp_path, capsys):
    config = options(root, tiny, tmp_path / "a", minutes=1e-9)
    assert read_rows(paint(config) / "rows.csv") == []
    assert "0 of 10 paintings, the same command resumes" in capsys.readouterr().out
    more = replace(config, minutes=5.0, painters=("agent",), strokes=(2,), n=1)
    paint(more)
    paint(replace(more, out=str(tmp_path / "b"), painters=("optimize",), n=3))
    with pytest.raises(InputError, match="another steps"):
        paint(replace(more, steps=4))
    assert Faces(more).ids == Faces(replace(more, n=3)).ids[:1]  # a larger n adds faces
    found = report(Report((str(tmp_path / "a"), str(tmp_path / "b"))))
    assert (found["faces"], found["tasks"]["gender"]["painters"].keys()) == (3, {"agent", "optimize"})
    assert len(found["sessions"]) == 3  # a refused session is not recorded
    paint(replace(more, out=str(tmp_path / "c"), steps=4))
    with pytest.raises(InputError, match="differ in steps"):
        report(Report((str(tmp_path / "a"), str(tmp_path / "c"))))


def test_painters_by_name():
    assert parse_painter("agent:ink") == ("agent", "ink")
    assert parse_painter("lines:flat+ink") == ("lines", "flat+ink")
    painters = load_painters(Paint(painters=("agent:bezier", "optimize:ink", "agent")))
    assert {name: painter.method for name, painter in painters.items()} == {
        "agent": "agent",
        "optimize:ink": "optimize",
    }
    wrong = {"oil": "'oil'", "agent:exact": "not differentiable", "optimize:mypaint:ink": "not differentiable"}
    for name, words in wrong.items():
        with pytest.raises(InputError, match=words):
            parse_painter(name)


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0},
        {"painters": ()},
        {"strokes": ()},
        {"strokes": (0,)},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"painters": ("agent:none",)},
        {"gender": "status"},
        {"agent": "bezier"},
    ],
)
def test_invalid_options_are_reported_before_any_work(root, tiny, tmp_path, change):
    change = {name: tiny.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(InputError):
        paint(options(root, tiny, tmp_path / "run", **change))
    assert not (tmp_path / "run").exists()


def test_invalid_pages_and_runs(tmp_path):
    page = tmp_path / "page.md"
    for text in ("", f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"):
        page.write_text(text)
        with pytest.raises(InputError, match="needs the lines"):
            fill(page, "table")
    with pytest.raises(InputError, match="cannot be read"):
        fill(tmp_path / "none.md", "table")
    with pytest.raises(InputError, match="not the record"):
        report(Report((str(tmp_path),)))
    with pytest.raises(InputError, match="Name the folder"):
        report(Report(()))
