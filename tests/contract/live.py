"""The real service as the contract suite meets it. Its one rule: no create leaves unless the cap has room for it.

`python -m tests.contract.live` (`make test-live`) runs the suite on it; an ordinary run of the tests never asks it.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from qubico.transport import OverAiohttp

ROOT = Path(__file__).parents[2]
PREFIX = "RETOUCH_TEST_LIVE_"
ASKED = "RETOUCH_TEST_LIVE"  # set by `main` alone, so that a key in somebody's shell is not enough
PRICE = Decimal("0.02")  # dollars a task, until an answer says more
UNITS_PER_DOLLAR = 10_000_000
TO_SET = """\
To ask the real service, set in the environment:
  RETOUCH_TEST_LIVE_KEY           the account's key
  RETOUCH_TEST_LIVE_URL           the service's address, such as https://api.piapi.ai
  RETOUCH_TEST_LIVE_CAP_USD       how much may be spent, 0.02 a task (0.50 asks everything); unset: nothing
  RETOUCH_TEST_LIVE_IMAGE         address of a picture on the internet to edit; unset: one is sent inside the request
  RETOUCH_TEST_LIVE_CALLBACK_URL  https address that leads to this machine's port RETOUCH_TEST_LIVE_CALLBACK_PORT (8099)
  RETOUCH_TEST_LIVE_FOLDER        where what was learnt is written; unset: docs/provider
"""


class Refused(Exception):
    """The environment does not say what is needed."""


@dataclass
class Purse:
    """Counts what may have been spent. A create is paid before it leaves; what was paid never comes back."""

    cap: Decimal | None
    spent: Decimal = Decimal(0)
    tasks: int = 0
    dearest: Decimal = PRICE

    def take(self) -> None:
        """Skips the test that wants to buy, if there is not enough."""
        if self.cap is None:
            pytest.skip("nothing is bought: RETOUCH_TEST_LIVE_CAP_USD is not set")
        if self.spent + self.dearest > self.cap:
            pytest.skip(f"not bought: {self.spent} of {self.cap} USD may be spent already")
        self.spent += self.dearest
        self.tasks += 1

    def charged(self, units: object) -> None:
        """A task costs this, the provider says; from now on none is thought to be cheaper."""
        price = Decimal(units) / UNITS_PER_DOLLAR if isinstance(units, int) else Decimal(0)
        if price > self.dearest:
            self.spent += price - self.dearest
            self.dearest = price


class Paid(httpx.AsyncBaseTransport):
    """The only way out: whatever client asks, a POST is paid for first."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse
        self._inner = OverAiohttp(max_connections=30)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self._purse.take()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(frozen=True)
class Live:
    url: str
    key: str = field(repr=False)
    cap: Decimal | None
    image: str | None
    callback: str | None
    callback_port: int
    folder: Path

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def on_this_machine(self) -> bool:
        """A stand-in: it reaches our loopback, and it is quick."""
        try:
            return ipaddress.ip_address(urlsplit(self.url).hostname or "").is_loopback
        except ValueError:
            return urlsplit(self.url).hostname == "localhost"

    @property
    def pause(self) -> float:
        """Seconds between two looks at a task."""
        return 0.05 if self.on_this_machine else 3.0

    @property
    def patience(self) -> float:
        return 90.0 if self.on_this_machine else 600.0


def asked(environ: Mapping[str, str]) -> bool:
    return environ.get(ASKED) == "1"


def from_environment(environ: Mapping[str, str]) -> Live:
    """Raises Refused, with all that is missing or wrong."""
    said = {name: environ.get(PREFIX + name, "").strip() for name in ("KEY", "URL", "CAP_USD", "IMAGE", "CALLBACK_URL")}
    wrong = [f"{PREFIX}{name} is not set" for name in ("KEY", "URL") if not said[name]]
    if said["URL"] and not (said["URL"].startswith(("https://", "http://")) and urlsplit(said["URL"]).hostname):
        wrong.append(f"{PREFIX}URL must be an http(s) address")
    cap = _dollars(said["CAP_USD"]) if said["CAP_USD"] else None
    if cap is not None and not (cap.is_finite() and cap >= 0):
        wrong.append(f"{PREFIX}CAP_USD must be dollars, such as 0.50")
    port = environ.get(f"{PREFIX}CALLBACK_PORT", "").strip() or "8099"
    if not port.isdecimal():
        wrong.append(f"{PREFIX}CALLBACK_PORT must be a port")
    if wrong:
        raise Refused("\n".join(wrong))
    return Live(
        url=said["URL"].rstrip("/"),
        key=said["KEY"],
        cap=cap,
        image=said["IMAGE"] or None,
        callback=said["CALLBACK_URL"] or None,
        callback_port=int(port),
        folder=Path(environ.get(f"{PREFIX}FOLDER", "").strip() or ROOT / "docs" / "provider"),
    )


def _dollars(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def main(arguments: list[str]) -> int:
    try:
        live = from_environment(os.environ)
    except Refused as exc:
        sys.stderr.write(f"test-live: nothing was asked.\n{exc}\n\n{TO_SET}")
        return 2
    cap = "nothing will be bought" if live.cap is None else f"at most {live.cap} USD will be spent"
    sys.stderr.write(f"test-live: asking {live.host}; {cap}\n")
    os.environ[ASKED] = "1"
    files = [str(ROOT / "tests" / "contract" / name) for name in ("test_qubico.py", "test_live.py")]
    # The order is that of the suite, sockets may leave this machine, and no value (the key!) is shown with a failure.
    options = [
        "--tb=short",
        "-o",
        "addopts=--strict-markers --strict-config -ra",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ]
    return pytest.main(["--rootdir", str(ROOT), *files, "-k", "live", *options, "--timeout", "900", *arguments])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
