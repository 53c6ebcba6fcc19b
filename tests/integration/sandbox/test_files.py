"""The file host: addresses that serve, expire and misbehave."""

import base64
import io
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image, UnidentifiedImageError

from tests.integration.sandbox.conftest import Caller
from tests.parts.sandbox import Sandbox


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


async def test_a_result_is_served_without_a_key(api: Caller, sandbox: Sandbox) -> None:
    answer = await api.result(await api.bought())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert opened(answer.content).size == (64, 64)
    assert sandbox.ledger()["tasks"][0]["downloads"] == 1


async def test_a_result_is_the_same_each_time(api: Caller) -> None:
    task_id = await api.bought("winter")
    assert (await api.result(task_id)).content == (await api.result(task_id)).content


@pytest.mark.parametrize(("kind", "media"), [("jpg", "image/jpeg"), ("webp", "image/webp")])
async def test_results_come_in_other_types(api: Caller, kind: str, media: str) -> None:
    answer = await api.result(await api.bought(f"x [fault:{kind}]"))
    assert answer.headers["content-type"] == media
    assert answer.url.path.endswith(f".{kind}")
    assert Image.MIME[str(opened(answer.content).format)] == media


async def test_a_file_does_not_exist_before_its_task_is_completed(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000)
    await api.bought()
    assert (await api.http.get("/temp/0.png")).status_code == 404


async def test_files_expire(api: Caller, sandbox: Sandbox) -> None:
    task_id = await api.bought()
    assert (await api.result(task_id)).status_code == 200
    sandbox.advance(3 * 86_400 + 10)
    late = await api.result(task_id)
    assert late.status_code == 404
    assert late.headers["content-type"].startswith("text/html")


async def test_a_truncated_file_is_a_complete_answer_with_a_cut_picture(api: Caller) -> None:
    answer = await api.result(await api.bought("x [fault:truncated]"))
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b"\x89PNG")
    with pytest.raises((OSError, SyntaxError)):
        opened(answer.content)


async def test_a_cut_download_ends_in_the_middle_and_works_the_next_time(api: Caller) -> None:
    task_id = await api.bought("x [fault:cut]")
    with pytest.raises(httpx.RemoteProtocolError):
        await api.result(task_id)
    assert opened((await api.result(task_id)).content).format == "PNG"


async def test_a_wrong_type_is_a_gif_called_png(api: Caller) -> None:
    answer = await api.result(await api.bought("x [fault:wrong_type]"))
    assert answer.headers["content-type"] == "image/png"
    assert opened(answer.content).format == "GIF"


async def test_a_wrong_type_may_be_a_page(api: Caller) -> None:
    answer = await api.result(await api.bought("x [fault:wrong_type_html]"))
    assert answer.status_code == 200
    with pytest.raises(UnidentifiedImageError):
        opened(answer.content)


async def test_a_huge_file_is_streamed_without_a_length(api: Caller) -> None:
    answer = await api.result(await api.bought("x [fault:huge]"))
    assert "content-length" not in answer.headers
    assert len(answer.content) > 20 * 1024 * 1024


async def test_a_gone_file_is_404_though_the_task_is_completed(api: Caller) -> None:
    assert (await api.result(await api.bought("x [fault:gone]"))).status_code == 404


async def test_a_file_may_be_unavailable_at_first(api: Caller) -> None:
    task_id = await api.bought("x [fault:file_503=2]")
    assert [(await api.result(task_id)).status_code for _ in range(3)] == [503, 503, 200]


async def test_a_redirect_points_to_another_host_name_that_has_the_file(api: Caller, sandbox: Sandbox) -> None:
    answer = await api.result(await api.bought("x [fault:redirect]"))
    assert answer.status_code == 302
    moved = urlsplit(answer.headers["location"])
    assert moved.netloc == sandbox.host.replace("127.0.0.1", "localhost")
    there = await api.http.get(f"{moved.path}?{moved.query}")
    assert opened(there.content).format == "PNG"


async def test_base64_results_stand_in_the_task_itself(api: Caller) -> None:
    output = (await api.shown(await api.bought("x [fault:base64]")))["output"]
    assert output["image_url"] == ""
    assert opened(base64.b64decode(output["image_base64"])).format == "PNG"


async def test_plain_results_are_valid_pictures_that_differ_and_load_nothing(api: Caller, sandbox: Sandbox) -> None:
    sandbox.reset(paint="plain")
    first, second = [
        await api.result(await api.bought("x", image="http://127.0.0.1:9/nobody-is-there.png")) for _ in range(2)
    ]
    assert opened(first.content).format == "PNG"
    assert 3500 < len(first.content) < 4500
    assert first.content != second.content
