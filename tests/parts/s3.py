"""A real S3 server (SeaweedFS) for the session, one fresh prefix of its bucket a test.

It checks signatures, so a wrong key or a changed link is refused as in production.
"""

import contextlib
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.parts.ports import GRPC_OFFSET, free_pair
from tests.parts.proxy import Proxy, run_proxy
from tests.parts.starting import answers, until_ready


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    filer_port: int
    """Lists what the S3 interface does not, such as parts of unfinished uploads."""

    @property
    def env(self) -> dict[str, str]:
        """Environment of a process that uses `s3://` addresses of this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    s3, master, volume, filer, admin = ports = [free_pair() for _ in range(5)]
    server = S3Server(f"http://127.0.0.1:{s3}", "retouch-test", "testkey", secrets.token_hex(16), filer)
    (folder / "log").mkdir()
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("weed"), f"-logdir={folder / 'log'}", "mini", f"-dir={folder}",
                "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={server.bucket}", f"-s3.port={s3}",
                f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}",
                "-admin.ui=false", "-webdav=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}",
            ],
            env=server.env | {"HOME": str(folder)}, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        )  # fmt: skip
    try:
        until_ready(process, lambda: _is_ready(server), log=folder / "stderr")
        yield server
    finally:
        process.kill()
        process.wait(10)
        _remove_sockets(ports)


@pytest.fixture
def s3_env(s3_server: S3Server) -> dict[str, str]:
    return s3_server.env


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    """A fresh prefix of the bucket."""
    return f"s3://{s3_server.bucket}/{secrets.token_hex(6)}"


@pytest.fixture
def bucket_url(s3_url: str, s3_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The same prefix; the test's environment has the endpoint and keys."""
    for name, value in s3_env.items():
        monkeypatch.setenv(name, value)
    return s3_url


@contextlib.asynccontextmanager
async def without_etag(server: S3Server) -> AsyncIterator[Proxy]:
    """A proxy before the server that removes `ETag` from all replies."""
    async with run_proxy(urlsplit(server.endpoint).port or 80) as proxy:
        proxy.rewrite = lambda reply: re.sub(rb"\r\netag:", b"\r\nX-No:", reply, flags=re.IGNORECASE)
        yield proxy


def _is_ready(server: S3Server) -> bool:
    """The bucket appears a moment after the server first answers."""
    bucket = f"http://127.0.0.1:{server.filer_port}/buckets/{server.bucket}/"
    return all(answers(url) for url in (f"{server.endpoint}/healthz", bucket))


def _remove_sockets(ports: list[int]) -> None:
    """A killed weed leaves its gRPC sockets in /tmp."""
    for port in ports:
        for leftover in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + GRPC_OFFSET}.sock"):
            leftover.unlink(missing_ok=True)
