"""What the command line names, as pictures."""

import pytest

from cli import sources
from cli.errors import WrongUsage
from cli.sources import Source
from edits.media import cleaning
from edits.media.kinds import PictureInvalid

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
JPEG = b"\xff\xd8\xff\xe0jpeg"
WEBP = b"RIFF\x00\x00\x00\x00WEBPrest"


@pytest.mark.parametrize("address", ["https://example.com/a.png", "HTTP://example.com/a"])
def test_an_address_is_passed_on(address):
    for written in (address, f"  {address}\r\n"):
        found = sources.find([written])
        assert found.sources == (Source(address),)
    assert found.sources[0].read() is None
    assert not found.several


@pytest.mark.parametrize(("content", "kind"), [(PNG, "png"), (JPEG, "jpeg"), (WEBP, "webp")])
def test_a_local_picture_is_known_by_what_it_is(tmp_path, content, kind):
    path = tmp_path / "picture.dat"  # the name does not matter
    path.write_bytes(content)
    (source,) = sources.find([str(path)]).sources
    assert source.read() == (content, f"image/{kind}")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF"),
        (b"GIF89a\1\0\1\0\0\0\0;", "a GIF"),
        (b"II*\0\x08\0\0\0", "a TIFF"),
        (b"BM\x3a\0\0\0", "a BMP"),
        (b"<svg/>", "an SVG or XML"),
        (b"%PDF-1.7", "a PDF"),
        (b"", "an empty file"),
    ],
)
def test_another_kind_of_file_is_named_in_the_words_of_the_api(tmp_path, content, named):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureInvalid) as api:
        cleaning.clean(content, max_bytes=1000)
    assert str(api.value) == f"this is {named}, not a PNG, JPEG or WebP picture"
    with pytest.raises(WrongUsage) as cli:
        sources.find([str(path)])
    assert str(cli.value) == f"IMAGE: {path}: {api.value}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent.png", "no such file"),
        ("letter.png", "an unknown kind of file, not a PNG, JPEG or"),
        ("empty", "no PNG"),
    ],
)
def test_what_is_no_picture_is_refused_before_anything_is_handed_in(tmp_path, name, why):
    (tmp_path / "letter.png").write_text("Dear all")
    (tmp_path / "empty").mkdir()
    good = tmp_path / "good.png"
    good.write_bytes(PNG)
    with pytest.raises(WrongUsage, match=why):
        sources.find([str(tmp_path / name)])
    if name != "empty":
        with pytest.raises(WrongUsage, match=why):
            sources.find([str(good), str(tmp_path / name)])


def test_a_folder_gives_its_pictures_in_order_and_counts_the_rest(tmp_path):
    for name, content in {"b.jpg": JPEG, "a.png": PNG, ".hidden.png": PNG, "note.txt": b"hello", "void": b""}.items():
        (tmp_path / name).write_bytes(content)
    below = tmp_path / "below"
    below.mkdir()
    (below / "deep.png").write_bytes(PNG)
    found = sources.find([str(tmp_path)])
    assert [source.name for source in found.sources] == [str(tmp_path / "a.png"), str(tmp_path / "b.jpg")]
    assert found.passed_over == 2
    assert found.folders == (tmp_path,)
    assert found.several


def test_nothing_is_meant_twice(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    assert len(sources.find([str(picture), str(picture), str(tmp_path)]).sources) == 1


def test_a_folder_with_one_picture_still_counts_as_several(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    assert sources.find([str(tmp_path)]).several


def test_a_file_that_is_far_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST", 8)
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with pytest.raises(WrongUsage, match="larger than"):
        Source("a.png", path).read()


def test_a_file_of_a_folder_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    unreadable = tmp_path / "b.png"
    unreadable.symlink_to("/proc/self/mem")
    with pytest.raises(WrongUsage, match=f"IMAGE: {unreadable}: "):
        sources.find([str(tmp_path)])
