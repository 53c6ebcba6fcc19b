"""When a signed address stops working. Only a complete set of a scheme's parameters is a signature."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

Query = dict[str, str]  # the parameters of an address, their names in lower case

Ends = Callable[[Query], datetime]
"""Raises ValueError, LookupError, TypeError, OverflowError or RecursionError for values that are not the scheme's."""


def expires_at(address: str) -> datetime | None:
    """The first moment at which `address` no longer works, in UTC; None for an address without a known signature."""
    sent = urlsplit(address).query
    query = {name.lower(): value for name, value in parse_qsl(sent)} if sent else {}
    return min(_ends(query), default=None)


def _ends(query: Query) -> Iterator[datetime]:
    for parameters, ends in SCHEMES.values():
        if query.keys() >= {*parameters.split()}:
            with suppress(ValueError, LookupError, TypeError, OverflowError, RecursionError):
                yield ends(query)


def _signed_for(date: str, seconds: str) -> Ends:
    """The scheme says when it was signed and for how many seconds."""
    return lambda query: _moment(query[date]) + timedelta(seconds=_number(query[seconds]))


def _unix(name: str, *, base: int = 10) -> Ends:
    """The scheme says when it ends, in seconds of Unix time."""
    return lambda query: _instant(_number(query[name], base))


def _tencent(query: Query) -> datetime:
    """Both spans hold: `start;end` of the signature and of its key."""
    return min(_instant(_number(query[name].split(";")[1])) for name in ("q-sign-time", "q-key-time"))


def _cloudfront_policy(query: Query) -> datetime:
    text = query["policy"].translate(str.maketrans("-_~", "+=/"))
    statement = json.loads(base64.b64decode(text, validate=True))["Statement"][0]
    return _instant(_number(str(statement["Condition"]["DateLessThan"]["AWS:EpochTime"])))


def _baidu(query: Query) -> datetime:
    """`bce-auth-v1/key/date/seconds/headers/signature`."""
    version, _key, date, seconds, _headers, _signature = query["authorization"].split("/")
    if version != "bce-auth-v1":
        raise ValueError("another scheme")
    return _moment(date) + timedelta(seconds=_number(seconds))


def _swift(query: Query) -> datetime:
    ends = query["temp_url_expires"]
    return _instant(_number(ends)) if ends.isdecimal() else _moment(ends)


def _number(text: str, base: int = 10) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,12}", text):
        raise ValueError("no number of seconds")
    return int(text, base)


def _instant(seconds: int) -> datetime:
    """A flag such as `expires=0` and a year are no Unix time."""
    if not 10**8 <= seconds < 10**11:
        raise ValueError("no Unix time of this age")
    return datetime.fromtimestamp(seconds, UTC)


def _moment(text: str) -> datetime:
    """ISO 8601 in either form; without a zone it is in UTC."""
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _azure(parameters: str) -> tuple[str, Ends]:
    return f"{parameters} se sig", lambda query: _moment(query["se"])


def _version_4(prefix: str) -> tuple[str, Ends]:
    names = ("algorithm", "credential", "date", "expires", "signedheaders", "signature")
    return " ".join(prefix + name for name in names), _signed_for(f"{prefix}date", f"{prefix}expires")


SCHEMES: Final[dict[str, tuple[str, Ends]]] = {
    "S3 v4": _version_4("x-amz-"),
    "S3 v2": ("awsaccesskeyid expires signature", _unix("expires")),
    "Google v4": _version_4("x-goog-"),
    "Google v2": ("googleaccessid expires signature", _unix("expires")),
    "Google Cloud CDN": ("expires keyname signature", _unix("expires")),
    "Azure, a service": _azure("sv sr sp"),
    "Azure, a stored policy": _azure("sv sr si"),
    "Azure, an account": _azure("sv ss srt sp"),
    "CloudFront, canned policy": ("expires signature key-pair-id", _unix("expires")),
    "CloudFront, custom policy": ("policy signature key-pair-id", _cloudfront_policy),
    "Alibaba OSS v1": ("ossaccesskeyid expires signature", _unix("expires")),
    "Alibaba OSS v4": (
        "x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-signature",
        _signed_for("x-oss-date", "x-oss-expires"),
    ),
    "Tencent COS": (
        "q-sign-algorithm q-ak q-sign-time q-key-time q-header-list q-url-param-list q-signature",
        _tencent,
    ),
    "Huawei OBS": ("accesskeyid expires signature", _unix("expires")),
    "Baidu BOS": ("authorization", _baidu),
    "OpenStack Swift": ("temp_url_sig temp_url_expires", _swift),
    "Bunny": ("token expires", _unix("expires")),
    "Cloudflare Images": ("exp sig", _unix("exp")),
    "imgix": ("expires s", _unix("expires")),
    "Discord": ("ex is hm", _unix("ex", base=16)),
    "Meta": ("oh oe", _unix("oe", base=16)),
}
