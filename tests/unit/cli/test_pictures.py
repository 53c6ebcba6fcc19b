"""What may be sent, and where a result may go."""

import base64
import hashlib

import pytest

from cli import pictures
from cli.errors import WorkFailed, WrongUsage
from cli.views import Result

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"


def result(content, content_type="image/png"):
    digest = hashlib.sha256(content).hexdigest()
    return Result(url="http://x/result", content_type=content_type, bytes=len(content), sha256=digest)


async def pieces(*parts):
    for part in parts:
        yield part


@pytest.mark.parametrize("address", ["https://example.com/a.png", "HTTP://example.com/a"])
def test_an_address_is_passed_on(address):
    assert pictures.to_send(address) == address


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PNG, "png"), (b"\xff\xd8\xff\xe0jpeg", "jpeg"), (b"RIFF\x00\x00\x00\x00WEBPrest", "webp")],
)
def test_a_local_picture_becomes_a_data_uri_by_what_it_is(tmp_path, content, kind):
    path = tmp_path / "picture.dat"  # the name does not matter
    path.write_bytes(content)
    assert pictures.to_send(str(path)) == f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "letter.png"
    path.write_text("Dear all")
    with pytest.raises(WrongUsage, match="no PNG, JPEG or WebP"):
        pictures.to_send(str(path))


@pytest.mark.parametrize(("name", "why"), [("absent.png", "no such file"), (".", "is a directory")])
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path, name, why):
    with pytest.raises(WrongUsage, match=why):
        pictures.to_send(str(tmp_path / name))


def test_a_file_that_is_there_already_is_refused_before_anything_is_bought(tmp_path):
    taken = tmp_path / "out.png"
    taken.touch()
    with pytest.raises(WrongUsage, match="nothing is overwritten"):
        pictures.refuse_taken(str(taken))
    with pytest.raises(WrongUsage, match="no folder"):
        pictures.refuse_taken(str(tmp_path / "absent" / "out.png"))
    pictures.refuse_taken(str(tmp_path))
    pictures.refuse_taken(str(tmp_path / "free.png"))
    pictures.refuse_taken("-")


async def test_a_result_goes_beside_us_under_a_name_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        (await pictures.save(pieces(PNG[:5], PNG[5:]), result=result(PNG), image="holiday.jpg", out=None)).name
        for _ in range(3)
    ]
    assert names == ["holiday-retouched.png", "holiday-retouched-2.png", "holiday-retouched-3.png"]
    assert (tmp_path / "holiday-retouched-3.png").read_bytes() == PNG


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("https://example.com/a/b%20c.jpeg?size=1", "b-c-retouched.webp"),
        ("https://example.com/", "picture-retouched.webp"),
        ("../../etc/passwd", "passwd-retouched.webp"),
    ],
)
async def test_a_result_is_named_after_the_picture(tmp_path, image, name):
    saved = await pictures.save(pieces(PNG), result=result(PNG, "image/webp"), image=image, out=str(tmp_path))
    assert saved == tmp_path / name


async def test_a_picture_that_did_not_arrive_whole_is_not_kept(tmp_path):
    with pytest.raises(WorkFailed, match="did not arrive whole"):
        await pictures.save(pieces(PNG[:-1]), result=result(PNG), image="a.png", out=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
