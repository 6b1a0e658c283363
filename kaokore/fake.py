"""A small synthetic data set in the official form, for tests and for commands without KaoKore."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from kaokore.fake_faces import BALD, draw_face
from kaokore.paths import IMAGES, image_name, image_path
from kaokore.tags import Tags, format_tags
from kaokore.versions import GENDERS, STATUSES

FAKE_URL = "http://kaokore.invalid"  # a name that never resolves (RFC 2606)

_JAPANESE_GENDERS = ("男", "女")
_JAPANESE_STATUSES = ("貴族", "武士", "化身", "庶民")


def write_fake_kaokore(root: str | Path, n: int = 24, seed: int = 0, base_url: str = FAKE_URL) -> Path:
    """Write `n` drawn faces with labels, tags and URLs in the official layout, and return the root.

    Gender and status are visible in the drawing (hair, hat, skin), so that a classifier can learn them. As in KaoKore:
    blank lines in `urls.txt`, with tags and a label; unlabelled images; images of 200x200 and 199x200 and a greyscale
    one; a negative coordinate; repeated, empty and nameless tags.

    Args:
        root: The folder to write to.
        n: Images.
        seed: Of the drawings.
        base_url: The server that the URLs name.
    """
    root, rng = Path(root), np.random.default_rng(seed)
    (root / IMAGES).mkdir(parents=True, exist_ok=True)
    ids = list(islice(_unblank_lines(), n))
    urls, labels, tags = [""] * (ids[-1] + 1 if ids else 0), ["image,gender,status,set"], []
    for order, image_id in enumerate(ids):
        gender, status = order % len(GENDERS), (order // len(GENDERS)) % len(STATUSES)
        labelled = order % 9 != 7
        face = draw_face(rng, female=gender == 1, status=status if labelled else BALD)
        _save(face, image_path(root, image_id), order)
        x = -2 if order == 2 else int(rng.integers(4000))
        region = f"{x},{int(rng.integers(2000))},180,180/256,256/0/default.jpg"
        urls[image_id] = f"{base_url}/iiif/{order // 6:09d}/{order // 6:09d}_{order:05d}.tif/{region}"
        if labelled:
            split = ("train", "train", "train", "dev", "test")[order % 5]
            labels.append(f"{image_name(image_id)},{gender},{status},{split}")
        tags.append(
            _tags(image_id, order, _JAPANESE_GENDERS[gender], _JAPANESE_STATUSES[status] if labelled else "僧侶")
        )
    blank_lines = [line for line, url in enumerate(urls) if not url]
    labels += [f"{image_name(line)},0,2,train" for line in blank_lines[:1]]
    blanks = [Tags(line, status="化身", source_work="絵空事") for line in blank_lines]

    (root / "urls.txt").write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
    (root / "labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    # The official file also has empty values and a bare `=`, which `format_tags` does not write.
    text = format_tags(sorted(tags + blanks, key=lambda record: record.image_id)).replace("jpg:", "jpg:=;制作年=;", 1)
    (root / "original_tags.txt").write_text(text, encoding="utf-8")
    for language, words in (("en", (*GENDERS, *STATUSES)), ("ja", (*_JAPANESE_GENDERS, *_JAPANESE_STATUSES))):
        (root / f"labels.metadata.{language}.txt").write_text(_class_names(language, words), encoding="utf-8")
    return root


def _unblank_lines() -> Iterator[int]:
    """The numbers of the lines that are not blank: 0 1 2 . . 5 6 7 8 9 . 11 12 ..."""
    line = 0
    while True:
        if line == 0 or (line not in (3, 4) and line % 10 != 0):
            yield line
        line += 1


def _save(face: np.ndarray, path: Path, order: int) -> None:
    image = Image.fromarray(face)
    if order % 7 == 3:
        image = image.resize((199 if order == 10 else 200, 200), Image.Resampling.LANCZOS)
    if order == 5:
        image = image.convert("L")
    image.save(path, quality=92)


def _tags(image_id: int, order: int, gender: str, status: str) -> Tags:
    return Tags(
        image_id,
        tags=("少年", "外国") if order == 1 else (),
        years_made=("from 1600", "to 1700", "江戸前期") if order % 3 else ("不明",),
        source_work="絵空事",
        source_id=f"10.20730/{order // 6:09d}",
        direction="四分の三",
        gender=gender,
        institution="国文学研究資料館",
        status=status,
    )


def _class_names(language: str, words: tuple[str, ...]) -> str:
    heads = ("gender", "status") if language == "en" else ("性別", "身分")
    lines = ["\t".join(heads), f"{len(GENDERS)}\t{len(STATUSES)}", ""]
    for head, names in zip(heads, (words[: len(GENDERS)], words[len(GENDERS) :]), strict=True):
        lines += [head, *(f"\t{index}\t{name}" for index, name in enumerate(names)), ""]
    return "\n".join(lines)
