"""What may be sent, and where a result may go."""

import hashlib
from contextlib import asynccontextmanager

import pytest

from cli import pictures
from cli.errors import WorkFailed, WrongUsage
from cli.views import Result

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def result(content, content_type="image/png"):
    digest = hashlib.sha256(content).hexdigest()
    return Result(url="http://x/result", content_type=content_type, bytes=len(content), sha256=digest)


def opened(*parts):
    """What the client gives: the bytes as they come."""

    async def pieces():
        for part in parts:
            yield part

    @asynccontextmanager
    async def open_it():
        yield pieces()

    return open_it


@asynccontextmanager
async def not_to_be_opened():
    pytest.fail("fetched again")
    yield


def test_a_file_that_is_there_already_is_refused_before_anything_is_bought(tmp_path):
    taken = tmp_path / "out.png"
    taken.touch()
    with pytest.raises(WrongUsage, match="is not overwritten"):
        pictures.refuse_taken(str(taken))
    with pytest.raises(WrongUsage, match="no folder"):
        pictures.refuse_taken(str(tmp_path / "absent" / "out.png"))
    pictures.refuse_taken(str(tmp_path))
    pictures.refuse_taken(str(tmp_path / "free.png"))
    pictures.refuse_taken("-")


def test_a_folder_is_made_where_one_is_asked_for(tmp_path):
    pictures.refuse_taken(f"{tmp_path}/new/")
    assert (tmp_path / "new").is_dir()


async def test_a_result_goes_beside_us_under_a_name_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = [PNG + bytes([number]) for number in range(3)]
    names = [
        (
            await pictures.save(opened(content[:5], content[5:]), result=result(content), image="holiday.jpg", out=None)
        ).name
        for content in contents
    ]
    assert names == ["holiday-retouched.png", "holiday-retouched-2.png", "holiday-retouched-3.png"]
    assert [(tmp_path / name).read_bytes() for name in names] == contents


async def test_a_picture_that_lies_there_already_is_neither_fetched_nor_written_again(tmp_path):
    first = await pictures.save(opened(PNG), result=result(PNG), image="a.jpg", out=str(tmp_path))
    other = PNG + b"!"
    second = await pictures.save(opened(other), result=result(other), image="a.jpg", out=str(tmp_path))
    for saved, content in ((first, PNG), (second, other)):
        again = await pictures.save(not_to_be_opened, result=result(content), image="a.jpg", out=str(tmp_path))
        assert again == saved
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("https://example.com/a/b%20c.jpeg?size=1", "b-c-retouched.webp"),
        ("https://example.com/", "picture-retouched.webp"),
        ("../../etc/passwd", "passwd-retouched.webp"),
    ],
)
async def test_a_result_is_named_after_the_picture(tmp_path, image, name):
    saved = await pictures.save(opened(PNG), result=result(PNG, "image/webp"), image=image, out=str(tmp_path))
    assert saved == tmp_path / name


async def test_a_picture_that_did_not_arrive_whole_is_not_kept(tmp_path):
    with pytest.raises(WorkFailed, match="download is incomplete"):
        await pictures.save(opened(PNG[:-1]), result=result(PNG), image="a.png", out=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
