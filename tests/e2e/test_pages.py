"""The pages that people open, in a real browser: the API's documents and Flower."""

import subprocess
import sys

import httpx
import pytest

from tests.parts.browser import Browser
from tests.parts.stack import RunningStack, eventually

pytestmark = pytest.mark.browser


def test_the_documents_show_every_operation_without_the_internet(stack: RunningStack, browser: Browser):
    page = browser.document(f"{stack.api_url}/docs")
    schema = httpx.get(f"{stack.api_url}/openapi.json").json()
    assert len(schema["paths"]) > 10
    for path in schema["paths"]:
        assert path in page
    assert "Idempotency-Key" in page


def test_flower_shows_the_steps_by_name(stack: RunningStack, browser: Browser):
    login = f"{stack.setting('RETOUCH_FLOWER__USER')}:{stack.setting('RETOUCH_FLOWER__PASSWORD')}"
    address = stack.flower_url.replace("://", f"://{login}@")

    for step in ("submit", "poll"):  # an idle chain sends one link a minute; this message shows at once
        call = [sys.executable, "-m", "celery", "-A", "workers.app", "call", f"retouch.{step}"]
        subprocess.run(call, cwd=stack.folder, env=stack.environ, check=True, capture_output=True, timeout=90)

    def seen() -> set[str]:
        return {task["name"] for task in httpx.get(f"{address}/api/tasks").json().values()}

    eventually(lambda: {"retouch.submit", "retouch.poll"} <= seen(), "links of the steps reach Flower")
    assert "worker1" in browser.document(f"{address}/workers")


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/workers", "/tasks"])
def test_flower_tells_nothing_without_its_password(stack: RunningStack, path: str):
    assert httpx.get(f"{stack.flower_url}{path}").status_code == 401
