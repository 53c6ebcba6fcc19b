"""The sandbox really edits: it loads the input from where it lies, and a picture it cannot load fails the task."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.integration.sandbox.conftest import Caller, Web, data_uri, picture
from tests.parts.sandbox import Sandbox

LANDSCAPE = Path("samples/landscape.jpg").read_bytes()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


async def test_an_address_is_loaded_and_painted_in_the_size_asked_for(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(paint="full")
    site.files["/in.jpg"] = (200, LANDSCAPE)
    task_id = await api.bought("black and white", image=f"{site.address}/in.jpg", width=512, height=256)
    result = opened((await api.result(task_id)).content)
    assert result.size == (512, 256)
    upper = result.crop((0, 0, 512, 230))
    red, green, blue = upper.split()
    assert ImageStat.Stat(ImageChops.difference(red, blue)).mean == [0]
    assert ImageStat.Stat(ImageChops.difference(red, green)).mean == [0]
    assert ImageStat.Stat(upper).stddev[0] > 20, "a picture, not a surface"


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/forbidden.png", "download input image: unexpected status 403"),
        ("/missing.png", "download input image: unexpected status 404"),
        ("/page.html", "decode input image: image: unknown format"),
        ("/half.jpg", "decode input image: image: unknown format"),
    ],
)
async def test_an_input_that_cannot_be_loaded_fails_the_task_at_once(
    api: Caller, site: Web, sandbox: Sandbox, path: str, log: str
) -> None:
    site.files = {
        "/forbidden.png": (403, b"no"),
        "/page.html": (200, b"<html>"),
        "/half.jpg": (200, LANDSCAPE[: len(LANDSCAPE) // 2]),
    }
    sandbox.options(latency=1000)
    data = await api.shown(await api.bought(image=f"{site.address}{path}"))
    assert data["status"] == "failed"
    assert data["logs"] == [log]
    assert data["error"]["raw_message"] == "worker: failed to fetch image"


@pytest.mark.parametrize(
    ("image", "log"),
    [
        ("http://127.0.0.1:9/x.png", "download input image: ClientConnectorError"),
        ("data:image/png;base64,@@@", "decode input image: illegal base64 data"),
        ("data:image/png;base64,aGVsbG8=", "decode input image: image: unknown format"),
        ("http://[broken", "download input image: InvalidUrlClientError"),
    ],
)
async def test_an_input_from_nowhere_fails_the_task(api: Caller, image: str, log: str) -> None:
    data = await api.shown(await api.bought(image=image))
    assert (data["status"], data["logs"]) == ("failed", [log])


async def test_an_input_that_grows_without_end_is_given_up(api: Caller, site: Web) -> None:
    site.files["/big.png"] = (200, picture() + bytes(21 * 1024 * 1024))
    data = await api.shown(await api.bought(image=f"{site.address}/big.png"))
    assert data["logs"] == ["download input image: larger than 20971520 bytes"]


async def test_an_early_failure_frees_its_place(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000, max_concurrent=1)
    await api.shown(await api.bought(image="data:image/png;base64,@@@"))
    assert (await api.create()).status_code == 200


async def test_a_data_uri_is_painted(api: Caller) -> None:
    result = opened((await api.result(await api.bought("mirror", image=data_uri(picture(colour="#10c020"))))).content)
    assert result.getpixel((32, 32)) == (16, 192, 32)
