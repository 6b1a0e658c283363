"""`original_tags.txt`: the researchers' annotations of each face, as typed records.

A line is `NAME.jpg:key=value;key=value;...` in Japanese. Keys repeat, values may be empty, an entry may even be a bare
`=`, and there are more lines than images: blank lines of `urls.txt` have tags too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kaokore.errors import DatasetError
from kaokore.paths import image_name, parse_id, read_metadata

_LISTS = {"タグ": "tags", "制作年": "years_made"}
_WORDS = {
    "原典": "source_work",
    "原典ID": "source_id",
    "向き": "direction",
    "性別": "gender",
    "所蔵": "institution",
    "身分": "status",
    # Version 1.3 names the kind of ID: a DOI, Kyoto University's record, Keio University's shelf mark.
    "DOI": "source_id",
    "京都大学貴重資料デジタルアーカイブレコードID": "source_id",
    "慶応義塾大学請求記号": "source_id",
}

IN_ENGLISH = {
    "不明": "unknown",
    # direction
    "正面": "front",
    "四分の三": "three-quarter",
    "横": "side",
    "後": "back",
    # gender
    "男": "male",
    "女": "female",
    # institution
    "国文学研究資料館": "National Institute of Japanese Literature",
    "慶應義塾大学": "Keio University",
    "京都大学": "Kyoto University",
    # status; images with the last three (or unknown) have no label
    "貴族": "noble",
    "武士": "warrior",
    "化身": "incarnation",
    "庶民": "commoner",
    "僧侶": "priest",
    "神職": "shrine priest",
    "動物": "animal",
}
"""The closed vocabularies (direction, gender, institution, status) in English."""


@dataclass(frozen=True)
class Tags:
    """The tags of one face. Values are the published ones, in Japanese; an unknown one may be empty.

    Empty values are left out of `tags` and `years_made`. Unknown keys are kept in `other`.
    """

    image_id: int
    tags: tuple[str, ...] = ()
    years_made: tuple[str, ...] = ()
    source_work: str = ""
    source_id: str = ""
    direction: str = ""
    gender: str = ""
    institution: str = ""
    status: str = ""
    other: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The image's file name."""
        return image_name(self.image_id)

    @property
    def year_from(self) -> int | None:
        """The first year (CE) in which the image may have been made."""
        return self._year("from")

    @property
    def year_to(self) -> int | None:
        """The last year (CE) in which the image may have been made."""
        return self._year("to")

    @property
    def era(self) -> str:
        """The era, in Japanese; empty when unknown."""
        return next((text for text in self.years_made if not _YEAR.fullmatch(text) and text != "不明"), "")

    def _year(self, end: str) -> int | None:
        matches = filter(None, map(_YEAR.fullmatch, self.years_made))
        return next((int(match["year"]) for match in matches if match["end"] in (None, end)), None)


_YEAR = re.compile(r"(?:(?P<end>from|to) )?(?P<year>[0-9]{3,4})")


def parse_tags(text: str) -> dict[int, Tags]:
    """Parse the records by image ID. Raises `DatasetError` naming the first line that is not in the official form.

    >>> ogre = parse_tags("00003000.jpg:タグ=鬼;制作年=from 1600;制作年=to 1700;制作年=江戸前期;向き=正面")[3000]
    >>> ogre.tags, ogre.year_from, ogre.year_to, ogre.era, IN_ENGLISH[ogre.direction]
    (('鬼',), 1600, 1700, '江戸前期', 'front')
    """
    records = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                record = _parse_line(line)
            except DatasetError:
                raise DatasetError(
                    f"Line {number} of original_tags.txt is not in the official form; delete it and download it again."
                ) from None
            records[record.image_id] = record
    return records


def read_tags(root: Path) -> dict[int, Tags]:
    """Read the records of `ROOT/original_tags.txt`, see `parse_tags`. Raises `DatasetError` when the file is missing."""
    return parse_tags(read_metadata(root, "original_tags.txt"))


def format_tags(records: Iterable[Tags]) -> str:
    """Format records, the inverse of `parse_tags`, with the key names of versions 1.0 to 1.2."""
    return "".join(f"{record.name}:{_format_entries(record)}\n" for record in records)


def _parse_line(line: str) -> Tags:
    name, _, entries = line.partition(":")
    lists: dict[str, list[str]] = {field: [] for field in _LISTS.values()}
    words: dict[str, str] = {}
    other = []
    for entry in entries.split(";"):
        key, value = (part.strip() for part in entry.split("=", 1)) if "=" in entry else (entry.strip(), "")
        if not value:  # an empty value, or the bare `=` that two entries of 1.1 have
            continue
        if key in _LISTS:
            lists[_LISTS[key]].append(value)
        elif key in _WORDS and _WORDS[key] not in words:
            words[_WORDS[key]] = value
        else:
            other.append((key, value))
    return Tags(parse_id(name.strip()), tuple(lists["tags"]), tuple(lists["years_made"]), **words, other=tuple(other))


def _format_entries(record: Tags) -> str:
    pairs = [(key, value) for key, field in _LISTS.items() for value in getattr(record, field)]
    names = {field: key for key, field in reversed(_WORDS.items())}  # the first key of a field is written
    pairs += [(names[field], getattr(record, field)) for field in dict.fromkeys(_WORDS.values())]
    return ";".join(f"{key}={value}" for key, value in (*pairs, *record.other))
