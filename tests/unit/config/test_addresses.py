"""Redis addresses: what is taken, which database the broker gets, and that no password is ever shown."""

import pytest

from config import addresses
from config.settings import SettingsError, load


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379/1"),
        ("redis://h:6380/3", "redis://h:6380/4"),
        ("redis://h/15", "redis://h:6379/14"),
        ("redis://h?db=2", "redis://h:6379/3"),
        ("redis://user:p%40ss@h/0", "redis://user:p%40ss@h:6379/1"),
        ("redis://[::1]:6380/0", "redis://[::1]:6380/1"),
        ("rediss://h/1?ssl_ca_certs=/ca.pem", "rediss://h:6379/2?ssl_ca_certs=%2Fca.pem"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=1"),
        ("unix:///run/valkey.sock?db=4", "unix:///run/valkey.sock?db=5"),
        ("sentinel://h1,h2:2000/main", "sentinel://h1:26379,h2:2000/main/1"),
        ("sentinel://:pw@h1/main/7", "sentinel://:pw@h1:26379/main/8"),
    ],
)
def test_the_broker_is_the_same_server_with_the_next_database(redis_url, broker_url):
    assert load({"RETOUCH_REDIS_URL": redis_url}, None).broker_url == broker_url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:6379", "write one of redis://, rediss://, unix://, sentinel://"),
        ("http://h", "write one of redis://"),
        ("redis+cluster://h", "write one of redis://"),
        ("redis://", "no valid host"),
        ("redis://h:port/0", "no valid port"),
        ("redis://h/first", "must be a number"),
        ("redis://h/0/1", "nothing else"),
        ("redis://h/-1", "must be a number"),
        ("redis://h:6379/0#x", "percent-encoded"),
        ("redis://h h/0", "write one of redis://"),
        ("unix://run/valkey.sock", "absolute path"),
        ("sentinel://h1,h2", "name of their master"),
        ("sentinel://h1,,h2/main", "no valid host"),
        ("rediss://h?ssl_cert_reqs=none", "always verified"),
        ("rediss://h?ssl_check_hostname=False", "always verified"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url, words):
    with pytest.raises(SettingsError) as refused:
        load({"RETOUCH_REDIS_URL": url}, None)
    assert words in refused.value.faults[0].problem


def test_the_parts_of_an_address_are_read_once_for_all():
    address = addresses.parse_redis("sentinel://user:p%2Fw@h1,[::1]:2000/main/3?client_name=x")
    assert address.hosts == (("h1", 26379), ("::1", 2000))
    assert (address.master, address.database) == ("main", 3)
    assert address.credentials == ("user", "p/w")
    assert str(address) == "sentinel://user:p%2Fw@h1:26379,[::1]:2000/main/3?client_name=x"


@pytest.mark.parametrize("url", ["redis://:hunter2/x@h/0", "redis://:hunter2@h:port", "redis://:hunter2@h/x"])
def test_a_refused_address_does_not_show_its_password(url):
    with pytest.raises(SettingsError) as refused:
        load({"RETOUCH_REDIS_URL": url}, None)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:pw@h:1/0", "redis://******@h:1/0"),
        ("at redis://u:p@h and sentinel://u:p@h1,h2/m", "at redis://******@h and sentinel://******@h1,h2/m"),
        ("redis://u:p@ss@h/0", "redis://******@h/0"),
        ("https://h/path@x", "https://h/path@x"),
    ],
)
def test_masking_takes_user_and_password_out_of_any_text(text, masked):
    assert addresses.mask(text) == masked


@pytest.mark.parametrize(
    ("url", "sandbox"),
    [
        ("http://127.0.0.1:9999", True),
        ("http://localhost", True),
        ("http://[::1]:8001", True),
        ("http://sandbox:8001", True),
        ("http://retouch-sandbox.internal", True),
        ("http://10.0.0.7:8001", True),
        ("https://api.example.com", False),
        ("https://sandboxes.example.com", False),
    ],
)
def test_the_sandbox_is_known_by_its_address(url, sandbox):
    assert addresses.looks_like_sandbox(url, port=8001) is sandbox
