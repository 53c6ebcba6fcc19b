"""No log line holds a prompt or picture, for any request and any failure."""

import base64
import json
import subprocess

import httpx
import redis as redis_sync
from PIL import PngImagePlugin

from tests.integration.api import test_process
from tests.integration.api.conftest import KEY
from tests.unit.edits.samples import picture, saved

MARKER = "a-word-that-must-stay-here"
url = test_process.url  # a server as the field starts it, its log at debug
IN_BASE64 = base64.b64encode(MARKER.encode()).decode()[:30]


def marked_picture(**options: object) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", MARKER)
    return saved(picture("RGB"), "PNG", pnginfo=notes, **options)


def bodies(host: str) -> list[dict[str, object]]:
    """Taken, refused by each part that looks at it, and refused because it cannot be reached."""
    uri = base64.b64encode(marked_picture()).decode()
    prompt, address = f"make it {MARKER}", f"https://example.com/{MARKER}.png?sig={MARKER}"
    return [
        {"prompt": prompt, "image": address, "external_id": MARKER},
        {"prompt": prompt, "image": f"data:image/png;base64,{uri}"},
        {"prompt": prompt, "image": f"data:image/png;base64,{uri[:-60]}"},
        {"prompt": prompt, "image": f"data:image/{MARKER};base64,{uri}"},
        {"prompt": prompt, "image": f"ftp://{MARKER}.example/a"},
        {"prompt": prompt, "image": f"{address}&AWSAccessKeyId=x&Expires=1000000000&Signature=x"},
        {"prompt": prompt, "image": f"http://{host}/{MARKER}", "image_fetch": "copy"},
        {"prompt": prompt, "image": f"http://{MARKER}.invalid/", "image_fetch": "copy"},
        {"prompt": [prompt], "image": address},
        {"prompt": prompt, "image": address, "steps": MARKER},
        {"prompt": prompt, "image": address, "image_fetch": MARKER},
    ]


def test_no_log_line_holds_a_prompt_a_picture_or_its_address(
    url: tuple[str, "subprocess.Popen[str]"], redis_url: str
) -> None:
    address, process = url
    host = address.removeprefix("http://")
    asked = [(body, params) for body in bodies(host) for params in ({}, {"dry_run": "true"})]
    with httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=90, trust_env=False) as client:
        statuses = [client.post("/v1/edits", params=params, json=body).status_code for body, params in asked]
        for data in (marked_picture(), marked_picture()[:-30], f"{MARKER}".encode()):
            files = {"image": (f"{MARKER}.png", data)}
            statuses.append(client.post("/v1/edits", data={"prompt": MARKER}, files=files).status_code)
        statuses.append(client.post("/v1/edits", content=f'{{"prompt": "{MARKER}').status_code)
        odd = f"--b\r\nContent-Disposition: form-data; name=prompt\r\nContent-Transfer-Encoding: {MARKER}\r\n\r\nx\r\n"
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        statuses.append(client.post("/v1/edits", content=odd, headers=form).status_code)
        edit_id = client.post("/v1/edits", json=bodies(host)[0]).json()["id"]
        with redis_sync.Redis.from_url(redis_url) as redis:  # a record that cannot be read: the last resort logs it
            kept = {"prompt": {"not": MARKER}, "image": MARKER, "seed": MARKER}
            redis.set(f"retouch:i:{edit_id}", json.dumps(kept))
        statuses.append(client.get(f"/v1/edits/{edit_id}").status_code)
    process.terminate()
    written = "".join(process.communicate(timeout=90))
    assert {202, 200, 422, 503} <= set(statuses)
    assert "edit.accepted" in written
    assert "request.broke" in written
    assert MARKER not in written
    assert IN_BASE64 not in written
