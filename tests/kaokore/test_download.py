import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaokore import (
    DatasetError,
    KaoKore,
    RetryPolicy,
    download_images,
    download_metadata,
    fetch_image,
    image_ids,
    read_urls,
)
from kaokore.download import _check_image
from kaokore.fetch import MAX_FAILURES, UnusableError
from kaokore.paths import METADATA, image_name
from kaokore.versions import VERSIONS
from tests.kaokore.conftest import FlakyServer

QUICK = RetryPolicy(retries=2, backoff=0.01, timeout=0.3)


@pytest.fixture
def root(server: FlakyServer, published: Path, tmp_path: Path) -> Path:
    """A folder with the metadata and no image."""
    root = tmp_path / "kaokore"
    download_metadata(root, base_url=server.url, retry=QUICK)
    return root


def images(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("images_256/*")}


def path_of(root: Path, server: FlakyServer, image_id: int) -> str:
    return read_urls(root)[image_id].removeprefix(server.url)


def test_all_files_are_downloaded_unchanged(server: FlakyServer, published: Path, root: Path) -> None:
    assert {name: (root / name).read_bytes() for name in METADATA} == {
        name: (published / name).read_bytes() for name in METADATA
    }
    report = download_images(root, retry=QUICK)
    assert images(root) == images(published)
    assert report.got == tuple(sorted(images(published)))
    assert (report.there, report.failed) == ((), {})
    assert KaoKore(root, split="all").ids == image_ids(read_urls(published))


@pytest.mark.parametrize(
    "trouble",
    [[500], [503, 502], [429], ["truncate"], ["half"], ["stall"], [500, "truncate"]],
    ids=lambda steps: "-".join(map(str, steps)),
)
def test_transient_errors_are_retried(
    server: FlakyServer, published: Path, root: Path, trouble: list[int | str]
) -> None:
    server.plan[path_of(root, server, 2)] = list(trouble)
    report = download_images(root, [1, 2, 5], retry=QUICK)
    assert report.got == ("00000001.jpg", "00000002.jpg", "00000005.jpg")
    assert images(root) == {name: images(published)[name] for name in report.got}
    assert server.hits[path_of(root, server, 2)] == len(trouble) + 1


@pytest.mark.parametrize(
    ("trouble", "reason", "tries"),
    [
        (404, "HTTP 404", 1),  # asking again would not help
        (403, "HTTP 403", 1),
        (500, "HTTP 500", 3),
        ("truncate", "the answer broke off", 3),
        ("half", "not a whole JPEG image", 3),
        ("stall", "no answer within 0.3 s", 3),
    ],
)
def test_failures_are_reported_and_the_rest_is_kept(
    server: FlakyServer, published: Path, root: Path, trouble: int | str, reason: str, tries: int
) -> None:
    server.plan[path_of(root, server, 2)] = [trouble] * tries
    report = download_images(root, [1, 2, 5], retry=QUICK)
    assert report.failed == {"00000002.jpg": reason}
    assert sorted(images(root)) == ["00000001.jpg", "00000005.jpg"]  # and no unfinished file
    assert server.hits[path_of(root, server, 2)] == tries
    assert str(report) == "2 got, 0 already there, 1 failed"

    again = download_images(root, [1, 2, 5], retry=QUICK)
    assert again.got == ("00000002.jpg",)
    assert again.there == ("00000001.jpg", "00000005.jpg")
    assert server.hits[path_of(root, server, 1)] == 1
    assert images(root)["00000002.jpg"] == images(published)["00000002.jpg"]


def test_a_page_instead_of_an_image_is_refused(server: FlakyServer, root: Path) -> None:
    server.files[path_of(root, server, 2)] = b"<html>Please log in</html>"
    assert download_images(root, [2], retry=QUICK).failed == {"00000002.jpg": "not a whole JPEG image"}
    assert images(root) == {}


def test_half_a_file_from_elsewhere_is_fetched_again(published: Path, root: Path) -> None:
    whole = images(published)["00000002.jpg"]
    (root / "images_256").mkdir()
    (root / "images_256" / "00000002.jpg").write_bytes(whole[: len(whole) // 2])
    assert download_images(root, [2], retry=QUICK).got == ("00000002.jpg",)
    assert images(root) == {"00000002.jpg": whole}


def test_waits_as_long_as_the_server_asks(server: FlakyServer, root: Path) -> None:
    server.headers["Retry-After"] = "1"
    server.plan[path_of(root, server, 2)] = [429]
    start = time.monotonic()
    assert download_images(root, [2], retry=QUICK).got
    assert time.monotonic() - start > 0.9


def test_at_most_four_at_once(server: FlakyServer, root: Path) -> None:
    server.delay = 0.05
    download_images(root, retry=QUICK)
    assert 1 < server.peak <= 4


def test_resumes_after_ctrl_c(server: FlakyServer, published: Path, root: Path) -> None:
    server.delay = 0.02
    main = threading.main_thread().ident
    assert main is not None
    server.plan[path_of(root, server, 5)] = [lambda: signal.pthread_kill(main, signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt):
        download_images(root, retry=QUICK)
    kept = images(root)
    assert len(kept) < len(images(published))
    assert kept.items() <= images(published).items()  # whole files only
    report = download_images(root, retry=QUICK)
    assert report.there == tuple(sorted(kept))
    assert images(root) == images(published)


def test_a_dead_server_is_not_asked_again(root: Path) -> None:
    with FlakyServer() as gone:
        address = gone.url
    count = MAX_FAILURES + 12
    (root / "urls.txt").write_text("".join(f"{address}/{index}\n" for index in range(count)))
    report = download_images(root, retry=RetryPolicy(retries=0, backoff=0.0, timeout=0.3))
    reasons = list(report.failed.values())
    assert len(reasons) == count
    assert set(reasons) == {
        "no connection",
        f"{address.removeprefix('http://')} failed 8 times in a row and is not asked again",
    }
    assert MAX_FAILURES <= reasons.count("no connection") < MAX_FAILURES + 4  # the others were under way


def test_one_image_by_id(server: FlakyServer, published: Path, tmp_path: Path) -> None:
    root = tmp_path / "alone"
    path = fetch_image(root, "00000005", base_url=server.url, retry=QUICK)
    assert path.read_bytes() == images(published)["00000005.jpg"]
    assert images(root).keys() == {"00000005.jpg"}
    assert {path.name for path in root.iterdir()} == {"urls.txt", "images_256"}  # nothing more was fetched
    hits = server.hits.total()
    assert fetch_image(root, 5, base_url=server.url, retry=QUICK) == path
    assert server.hits.total() == hits


def test_one_image_that_cannot_be_downloaded(server: FlakyServer, root: Path) -> None:
    server.plan[path_of(root, server, 5)] = [404]
    with pytest.raises(
        DatasetError, match=r"Image 5 could not be downloaded from http.*\(HTTP 404\): check the network"
    ):
        fetch_image(root, 5, retry=QUICK)


def test_offline(tmp_path: Path) -> None:
    with FlakyServer() as gone:
        address = gone.url
    with pytest.raises(DatasetError, match=r"urls\.txt could not be downloaded from .* \(no connection\)"):
        fetch_image(tmp_path / "new", 42, base_url=address, retry=RetryPolicy(retries=1, backoff=0.0))


def test_an_image_that_is_there_needs_no_network(fake: Path) -> None:
    (fake / "urls.txt").unlink()
    assert fetch_image(fake, 1, base_url="http://kaokore.invalid") == fake / "images_256" / "00000001.jpg"


@pytest.mark.parametrize(
    ("image", "words"), [("3", "blank"), ("4000", "There is no image 4000"), ("face", "not an image ID")]
)
def test_no_such_image(root: Path, image: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        fetch_image(root, image, retry=QUICK)
    with pytest.raises(DatasetError, match=words):
        download_images(root, [image], retry=QUICK)


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_of_every_version(server: FlakyServer, fake_once: Path, tmp_path: Path, version: str) -> None:
    for name in METADATA:
        server.files[f"/{VERSIONS[version].folder}/{name}"] = (fake_once / name).read_bytes()
    report = download_metadata(tmp_path, version, base_url=f"{server.url}/", retry=QUICK)
    assert report.got == tuple(sorted(METADATA))
    assert download_metadata(tmp_path, version, base_url=server.url, retry=QUICK).there == report.got
    assert server.hits.total() == len(METADATA)


def test_another_version_is_refused(server: FlakyServer, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("http://a/b.jpg\n" * VERSIONS["1.1"].lines)
    for refuse in (download_metadata, lambda root, version, base_url: fetch_image(root, 1, version, base_url=base_url)):
        with pytest.raises(DatasetError, match=r"holds version 1\.1 of KaoKore, not 1\.3"):
            refuse(tmp_path, "1.3", base_url=server.url)
    assert not server.hits


def test_metadata_that_cannot_be_downloaded(server: FlakyServer, published: Path, tmp_path: Path) -> None:
    server.files["/dataset_v1.1/labels.csv"] = b"<!DOCTYPE html>"
    with pytest.raises(DatasetError, match=r"labels\.csv could not be downloaded from .*\(not the official file\)"):
        download_metadata(tmp_path / "kaokore", base_url=server.url, retry=QUICK)
    assert not (tmp_path / "kaokore" / "labels.csv").exists()
    assert (tmp_path / "kaokore" / "urls.txt").exists()


def test_images_need_the_urls(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no urls\.txt"):
        download_images(tmp_path)


def test_a_root_that_cannot_be_written(root: Path) -> None:
    (root / "images_256").write_text("in the way")
    with pytest.raises(DatasetError, match="Cannot write"):
        download_images(root, [1], retry=QUICK)


def test_the_data_set_downloads_its_split(
    server: FlakyServer, published: Path, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = KaoKore(root, split="dev", download=True)
    assert [image_name(i) for i in sorted(data.ids)] == sorted(images(root))
    assert data.report is not None
    assert data.report.got == tuple(sorted(images(root)))
    assert f"{len(data)}/{len(data)}" in capfd.readouterr().err  # the progress bar

    server.files.clear()
    with pytest.raises(DatasetError, match=r"images of the split 'test' are missing .*\(HTTP 404\)"):
        KaoKore(root, split="test", download=True)
    assert len(KaoKore(root, split="test", download=True, missing="skip")) == 0


@given(st.data())
def test_any_truncation_is_noticed(fake_once: Path, data: st.DataObject) -> None:
    whole = (fake_once / "images_256" / "00000000.jpg").read_bytes()
    _check_image(whole)
    # The last two bytes say "end of image": without them every pixel is still there.
    with pytest.raises(UnusableError):
        _check_image(whole[: data.draw(st.integers(0, len(whole) - 3))])


def test_old_names_still_work(published: Path, tmp_path: Path, server: FlakyServer) -> None:
    """`Patience` and the option `patience`, of version 0.1."""
    import kaokore

    with pytest.warns(DeprecationWarning, match="RetryPolicy"):
        policy = kaokore.Patience(retries=2, backoff=0.01, timeout=0.3)
    assert policy == QUICK
    with pytest.warns(DeprecationWarning, match="patience is now retry"):
        path = fetch_image(tmp_path / "kaokore", 5, base_url=server.url, patience=policy)  # type: ignore[call-arg]
    assert path.is_file()
