"""A real Azure Blob server (Azurite, from npm) for the session, where it is installed; one fresh container a test.

Google's own emulator is in no package registry: `gs://` is only opened and signed in tests.
"""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate

import httpx
import pytest

from tests.parts.starting import answers, until_ready
from tests.parts.valkey import free_port

VERSION = "2021-08-06"
"""Of the API, one that every Azurite knows."""


@dataclass(frozen=True)
class AzureServer:
    endpoint: str
    account: str
    key: str

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to reach the server by `az://` addresses."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    def make_container(self, name: str) -> None:
        """Ours is never the one to make a container: an operator does."""
        date = formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": VERSION}
        signed = "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
        path = f"/{self.account}/{self.account}/{name}\nrestype:container"
        text = "PUT\n" + "\n" * 11 + signed + path
        mac = hmac.digest(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(mac).decode()}"
        url = f"{self.endpoint}/{name}?restype=container"
        answer = httpx.put(url, headers=headers | {"Content-Length": "0"}, timeout=10, trust_env=False)
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    names = (os.environ.get("RETOUCH_TEST_AZURITE"), "azurite-blob")
    binary = next((found for name in names if name and (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip(
            "Azurite is not installed: npm install --global azurite, or set RETOUCH_TEST_AZURITE to azurite-blob"
        )
    folder, port = tmp_path_factory.mktemp("azure"), free_port()
    server = AzureServer(
        f"http://127.0.0.1:{port}/retouch", "retouch", base64.b64encode(secrets.token_bytes(32)).decode()
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary, "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent",
                "--blobHost", "127.0.0.1", "--blobPort", str(port),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "AZURITE_ACCOUNTS": f"retouch:{server.key}"},
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until_ready(process, lambda: answers(server.endpoint) is not None, log=folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def container_url(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in Azure, with the server's endpoint and keys set in the environment of the test."""
    container = f"retouch-{secrets.token_hex(6)}"
    azure_server.make_container(container)
    for name, value in azure_server.env.items():
        monkeypatch.setenv(name, value)
    return f"az://{container}/prefix"
