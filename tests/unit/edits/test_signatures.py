"""Signed addresses: the end of each scheme, and no end for an address that lacks any of its parameters."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.network import signatures


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # a year, a month, a day and so on


ENDS = utc(2026, 1, 15, 9, 20, 11)
UNIX = str(int(ENDS.timestamp()))
HEX = f"{int(ENDS.timestamp()):x}"
SIGNED = "20260115T082011Z"
NESTED = base64.b64encode(b"[" * 1200).decode()


def policy(ends: object = int(UNIX)) -> str:
    statement = {"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": ends}}}
    text = base64.b64encode(json.dumps({"Statement": [statement]}).encode()).decode()
    return text.translate(str.maketrans("+=/", "-_~"))


def dialect(prefix: str, algorithm: str) -> dict[str, str]:
    return {
        f"{prefix}-Algorithm": algorithm, f"{prefix}-Credential": "key/20260115/auto/s3/request",
        f"{prefix}-Date": SIGNED,
        f"{prefix}-Expires": "3600", f"{prefix}-SignedHeaders": "host", f"{prefix}-Signature": "5f",
    }  # fmt: skip


SCHEMES: dict[str, dict[str, str]] = {
    "S3 v4": dialect("X-Amz", "AWS4-HMAC-SHA256"),
    "S3 v2": {"AWSAccessKeyId": "AKIA", "Expires": UNIX, "Signature": "a/b="},
    "Google v4": dialect("X-Goog", "GOOG4-RSA-SHA256"),
    "Google v2": {"GoogleAccessId": "me@example.com", "Expires": UNIX, "Signature": "a/b="},
    "Google Cloud CDN": {"Expires": UNIX, "KeyName": "key", "Signature": "ab="},
    "Azure, a service": {"sv": "2024-11-04", "sr": "b", "sp": "r", "se": "2026-01-15T09:20:11Z", "sig": "a/b="},
    "Azure, a stored policy": {"sv": "2024-11-04", "sr": "b", "si": "policy", "se": "2026-01-15T09:20:11Z",
    "sig": "ab="},
    "Azure, an account": {
        "sv": "2024-11-04", "ss": "b", "srt": "o", "sp": "r", "se": "2026-01-15T10:20:11+01:00", "sig": "ab=",
    },
    "CloudFront, canned policy": {"Expires": UNIX, "Signature": "a-b_~", "Key-Pair-Id": "K2"},
    "CloudFront, custom policy": {"Policy": policy(), "Signature": "a-b_~", "Key-Pair-Id": "K2"},
    "Alibaba OSS v1": {"OSSAccessKeyId": "LTAI", "Expires": UNIX, "Signature": "ab="},
    "Alibaba OSS v4": {
        "x-oss-signature-version": "OSS4-HMAC-SHA256", "x-oss-credential": "key", "x-oss-date": SIGNED,
        "x-oss-expires": "3600", "x-oss-signature": "5f",
    },
    "Tencent COS": {
        "q-sign-algorithm": "sha1", "q-ak": "AKID", "q-sign-time": f"1768465211;{UNIX}",
        "q-key-time": f"1768465211;{UNIX}",
        "q-header-list": "host", "q-url-param-list": "x", "q-signature": "5f",
    },
    "Huawei OBS": {"AccessKeyId": "key", "Expires": UNIX, "Signature": "ab="},
    "Baidu BOS": {"authorization": "bce-auth-v1/key/2026-01-15T08:20:11Z/3600/host/5f"},
    "OpenStack Swift": {"temp_url_sig": "5f", "temp_url_expires": UNIX},
    "Bunny": {"token": "ab", "expires": UNIX},
    "Cloudflare Images": {"exp": UNIX, "sig": "5f"},
    "imgix": {"expires": UNIX, "s": "5f"},
    "Discord": {"ex": HEX, "is": HEX, "hm": "5f"},
    "Meta": {"oh": "5f", "oe": HEX.upper()},
}  # fmt: skip


def ends_of(query: dict[str, str] | str) -> datetime | None:
    text = query if isinstance(query, str) else urlencode(query)
    return signatures.expires_at(f"https://bucket.example.com/a.png?{text}")


def test_each_scheme_is_tested() -> None:
    assert SCHEMES.keys() == signatures.SCHEMES.keys()


@pytest.mark.parametrize("query", SCHEMES.values(), ids=SCHEMES)
def test_a_whole_signature_says_when_it_ends(query: dict[str, str]) -> None:
    assert ends_of(query) == ENDS
    assert ends_of({"width": "100"} | query | {"response-content-type": "image/png"}) == ENDS
    assert ends_of({name.lower(): value for name, value in query.items()}) == ENDS


WITHOUT_ONE = {
    f"{scheme} without {left_out}": {name: value for name, value in query.items() if name != left_out}
    for scheme, query in SCHEMES.items()
    for left_out in query
}


@pytest.mark.parametrize("query", WITHOUT_ONE.values(), ids=WITHOUT_ONE)
def test_a_signature_without_one_of_its_parameters_is_none(query: dict[str, str]) -> None:
    assert ends_of(query) is None


@pytest.mark.parametrize(
    ("name", "value"),
    sorted({pair for scheme, query in SCHEMES.items() if scheme != "Baidu BOS" for pair in query.items()}),
)
def test_no_parameter_alone_is_a_signature(name: str, value: str) -> None:
    assert ends_of({name: value}) is None


@pytest.mark.parametrize(
    ("scheme", "change", "ends"),
    [
        pytest.param("S3 v4", {"X-Amz-Expires": "60"}, utc(2026, 1, 15, 8, 21, 11), id="a minute"),
        pytest.param("S3 v4", {"X-Amz-Date": "yesterday"}, None, id="no date"),
        pytest.param("S3 v4", {"X-Amz-Expires": "-5"}, None, id="no life"),
        pytest.param("S3 v4", {"X-Amz-Date": "99991231T000000Z", "X-Amz-Expires": "999999999"}, None, id="beyond 9999"),
        pytest.param("S3 v2", {"Expires": "0"}, None, id="a flag that is no time"),
        pytest.param("S3 v2", {"Expires": "Thu, 15 Jan 2026 09:20:11 GMT"}, None, id="a date of another kind"),
        pytest.param("Azure, a service", {"se": "2026-01-15T09:20Z"}, utc(2026, 1, 15, 9, 20), id="no seconds"),
        pytest.param("Azure, a service", {"se": "2026-01-15"}, utc(2026, 1, 15), id="a day"),
        pytest.param("Azure, a service", {"se": "north"}, None, id="no moment"),
        pytest.param("CloudFront, custom policy", {"Policy": "nothing"}, None, id="no policy"),
        pytest.param("CloudFront, custom policy", {"Policy": policy("soon")}, None, id="a policy without an end"),
        pytest.param("CloudFront, custom policy", {"Policy": policy([])}, None, id="a policy of another shape"),
        pytest.param("CloudFront, custom policy", {"Policy": NESTED}, None, id="a policy nested too deeply"),
        pytest.param("Tencent COS", {"q-key-time": "1;1768465211"}, utc(2026, 1, 15, 8, 20, 11),
        id="the key ends first"),
        pytest.param("Tencent COS", {"q-key-time": "1768465211"}, None, id="no span"),
        pytest.param("Baidu BOS", {"authorization": "Bearer a/b/c/d/e"}, None, id="another scheme"),
        pytest.param("OpenStack Swift", {"temp_url_expires": "2026-01-15T09:20:11Z"}, ENDS, id="a date"),
        pytest.param("Bunny", {"expires": "never"}, None, id="no number"),
        pytest.param("Discord", {"ex": "zz"}, None, id="no hex"),
    ],
)  # fmt: skip
def test_the_values_are_read_as_the_scheme_has_them(scheme: str, change: dict[str, str], ends: datetime | None) -> None:
    assert ends_of(SCHEMES[scheme] | change) == ends


def test_of_several_signatures_the_first_end_holds() -> None:
    assert ends_of(SCHEMES["S3 v4"] | SCHEMES["S3 v2"] | {"X-Amz-Expires": "1"}) == utc(2026, 1, 15, 8, 20, 12)


@pytest.mark.parametrize("query", ["", "expires=1768468811&width=100", "se=2026-01-15&size=2026", "Expires=1768468811"])
def test_an_address_without_a_signature_has_no_end(query: str) -> None:
    assert ends_of(query) is None


@given(st.text(max_size=60), st.sampled_from([(s, n) for s, query in SCHEMES.items() for n in query]))
def test_no_address_is_too_odd_to_be_read(text: str, place: tuple[str, str]) -> None:
    scheme, name = place
    ends = ends_of(SCHEMES[scheme] | {name: text})
    assert ends is None or ends.tzinfo is UTC
