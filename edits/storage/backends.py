"""Opens a store by its address and translates its errors. No error contains text of a provider: it may hold secrets.

Folders, S3 and Azure are tested on real servers. Google Cloud Storage has no server to test on.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

Store = LocalStore | S3Store | GCSStore | AzureStore

_ENDPOINTS: Final = {
    "s3": ("AWS_*", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    "gs": ("GOOGLE_*", ()),
    "az": ("AZURE_*", ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")),
}
"""By scheme: the names in the environment that hold endpoint and keys, and of these the endpoint's."""

_CLIENT: "Final[ClientConfig]" = {"connect_timeout": "2s", "read_timeout": "10s", "timeout": "60s"}
"""`timeout` is for a whole body, which a slow reader may prolong; `read_timeout` detects a hung server."""

_RETRY: "Final[RetryConfig]" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""With the server down a call ends after 0.3 s; the default of 10 tries takes 9 s."""

_NO_BUCKET: Final = {"NoSuchBucket", "InvalidBucketName", "ContainerNotFound"}

_CREDENTIALS_HOST: Final = "169.254.169.254"  # the client requests keys here when the environment holds none


class StorageError(Exception):
    """Its text may be logged and shown: it holds no secret."""


class StorageUnavailable(StorageError):
    """The store does not answer or is full: try again later."""


class StorageRefused(StorageError):
    """Address, keys or rights are wrong: an operator must act first."""


class NoETag(StorageUnavailable):
    """The server answered a write with 2xx and without `ETag`: see writing.py."""


class ObjectMissing(StorageError):
    """There is nothing under this key."""


class TooLarge(StorageError):
    """More bytes than are allowed."""


def open_store(url: str) -> Store:
    """The store at `url`; raises StorageRefused for an unusable address. Clouds are not contacted yet."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _open_folder(parts.netloc, unquote(parts.path))
    if parts.scheme not in _ENDPOINTS or not parts.netloc:
        raise StorageRefused(
            "RETOUCH_STORAGE_URL must be file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    try:
        return _open_cloud(parts.scheme, url)
    except (BaseError, ValueError):
        raise StorageRefused(
            f"RETOUCH_STORAGE_URL ({parts.scheme}://) cannot be opened: check it and {_ENDPOINTS[parts.scheme][0]}"
        ) from None


def _open_folder(host: str, path: str) -> Store:
    if host or not path.startswith("/"):
        raise StorageRefused(
            "RETOUCH_STORAGE_URL: file:// takes an absolute path, as in file:///var/lib/retouch/objects"
        )
    try:
        return LocalStore(Path(path), mkdir=True, automatic_cleanup=True)
    except (BaseError, OSError, ValueError):
        raise StorageRefused(f"RETOUCH_STORAGE_URL: the folder {path} does not exist and cannot be created") from None


def _open_cloud(scheme: str, url: str) -> Store:
    """The client reads keys and other settings from the environment. A configured endpoint may use plain http."""
    endpoint = next((value for name in _ENDPOINTS[scheme][1] if (value := os.environ.get(name))), "")
    client: ClientConfig = {**_CLIENT, "allow_http": True} if endpoint.startswith("http://") else _CLIENT
    if scheme == "gs":
        return GCSStore.from_url(url, client_options=client, retry_config=_RETRY)
    if scheme == "az":
        return AzureStore.from_url(url, client_options=client, retry_config=_RETRY)
    config: S3Config = {"endpoint": endpoint.rstrip("/")} if endpoint else {}
    return S3Store.from_url(url, config=config, client_options=client, retry_config=_RETRY)


@asynccontextmanager
async def bounded(operation: str, key: str, *, within: timedelta) -> AsyncIterator[None]:
    """One call of the store: ends in time, and fails as a StorageError."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except TimeoutError:
        raise StorageUnavailable(f"storage did not finish {operation} within {within.total_seconds():g} s") from None
    except (BaseError, OSError) as error:
        if "MissingEtag" in str(error):
            raise NoETag(f"storage answered {operation} without an ETag") from None
        raise _translated(error, operation=operation, key=key) from None


def _translated(error: BaseError | OSError, *, operation: str, key: str) -> StorageError:
    text = str(error)
    status = int(_found(r"status code: (\d{3})", text) or 0)
    code = _found(r"<Code>(\w{1,64})</Code>", text)
    because = " ".join(part for part in (f"status {status}" if status else "", code) if part)
    if "InvalidRange" in text:
        return StorageError(f"{key} has no such range of bytes")
    if code in _NO_BUCKET:
        return StorageRefused(f"storage refused {operation}: no such bucket as in RETOUCH_STORAGE_URL ({because})")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(f"{key} is not in storage")
    if _CREDENTIALS_HOST in text:
        return StorageRefused(f"storage refused {operation}: no keys were found in the environment")
    if _is_refusal(error, text, status):
        because = because or "permission denied"
        return StorageRefused(f"storage refused {operation}: keys, rights or region are wrong ({because})")
    return StorageUnavailable(f"storage cannot do {operation} now ({because or _trouble(text)})")


def _is_refusal(error: BaseError | OSError, text: str, status: int) -> bool:
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return True
    if re.search(r"os error (1|13|30)\)", text):  # not permitted, permission denied, read-only file system
        return True
    return 300 <= status < 500 and status not in {404, 408, 409, 429}  # not found, or try again later


def _trouble(text: str) -> str:
    if re.search(r"os error (28|122)\)", text):  # disk or quota
        return "no space is left"
    kinds = {"Timeout": "no answer in time", "Connect": "no connection"}
    return kinds.get(_found(r"kind: (Timeout|Connect)\b", text), "input or output failed")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
