"""What operators may write for durations, sizes, lists, hosts and switches, and what is refused with which words."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import values
from config.settings import SettingsError, load


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2592000),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("PT15M", 900),
        ("PT90S", 90),
        ("PT0.5S", 0.5),
        ("P30D", 2592000),
        ("P1W", 604800),
        ("P1DT2H3M4S", 93784),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_iso_8601(text, seconds):
    assert values.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("90", "write it like 90s"),
        ("1.5", "has no unit"),
        ("-5", "has no unit"),
        ("15 m", "is not a duration"),
        ("15M", "is not a duration"),
        ("1h30m", "is not a duration"),
        ("-15m", "is not a duration"),
        ("soon", "is not a duration"),
        ("P", "is not a duration"),
        ("PT", "is not a duration"),
        ("P1DT", "is not a duration"),
        ("P1Y", "is not a duration"),
        ("P1M", "is not a duration"),
        ("٣s", "is not a duration"),
        ("0s", "longer than 0s"),
        ("99999d", "shorter than 100 years"),
        ("9" * 400 + "s", "shorter than 100 years"),
    ],
)
def test_any_other_duration_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        values.duration(text)


@given(st.integers(min_value=1, max_value=10**10).map(lambda ms: timedelta(milliseconds=ms)))
def test_a_shown_duration_reads_as_itself(value):
    assert values.duration(values.show_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("20971520", 20971520), ("512B", 512), ("4KiB", 4096), ("20MiB", 20971520), ("1 GiB", 1073741824)],
)
def test_a_size_is_bytes_or_a_binary_unit(text, count):
    assert values.size(text) == count


@pytest.mark.parametrize("text", ["20MB", "20mib", "1.5MiB", "-1", "MiB", "20M", "", "1e6", "٣"])
def test_any_other_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        values.size(text)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        values.size("0MiB")


@given(st.integers(min_value=1, max_value=2**45))
def test_a_shown_size_reads_as_itself(value):
    assert values.size(values.show_size(value)) == value


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a.example,b.example:8443", ("a.example", "b.example:8443")),
        (" a.example , b.example ,", ("a.example", "b.example")),
        ('["a.example", "b.example"]', ("a.example", "b.example")),
        ("[]", ()),
        ("IMG.Example", ("img.example",)),
        ("10.0.0.7:9000", ("10.0.0.7:9000",)),
        ('["[::1]:9000", "::1"]', ("[::1]:9000", "[::1]")),
    ],
)
def test_a_list_is_written_by_comma_or_json(text, items):
    settings = load({"RETOUCH_QUBICO__RESULT_HOSTS": text}, None)
    assert settings.qubico.result_hosts == items


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("RETOUCH_QUBICO__RESULT_HOSTS", "https://img.example", "is not a host"),
        ("RETOUCH_QUBICO__RESULT_HOSTS", "img.example:99999", "port must be from 1 to 65535"),
        ("RETOUCH_QUBICO__RESULT_HOSTS", '["a", 1]', "not a list"),
        ("RETOUCH_QUBICO__RESULT_HOSTS", '["a"', "not a list"),
        ("RETOUCH_API__HOST", "http://localhost", "is not a host"),
        ("RETOUCH_API__PORT", "70000", "from 1 to 65535"),
        ("RETOUCH_API__PORT", "0", "from 1 to 65535"),
        ("RETOUCH_API__PORT", "80.0", "from 1 to 65535"),
        ("RETOUCH_API__PORT", "8_000", "from 1 to 65535"),
        ("RETOUCH_API__PROCESSES", "0", "1 or more"),
        ("RETOUCH_QUBICO__REBUY_FAILED", "-1", "0 or more"),
        ("RETOUCH_API__TRUSTED_PROXIES", "10.0.0.0/8,lb", "'lb' is not an address"),
        ("RETOUCH_API__CORS_ORIGINS", "https://app.example/path", "is not an origin"),
        ("RETOUCH_QUBICO__CREATES_PER_SECOND", "0", "write a number above 0"),
        ("RETOUCH_QUBICO__CREATES_PER_SECOND", "nan", "write a number above 0"),
        ("RETOUCH_QUBICO__CREATES_PER_SECOND", "inf", "write a number above 0"),
        ("RETOUCH_QUBICO__CREATES_PER_SECOND", "fast", "write a number above 0"),
        ("RETOUCH_WEBHOOKS__ALLOW_PRIVATE", "maybe", "write true or false"),
        ("RETOUCH_NAMESPACE", "Retouch", "a-z, 0-9 and -"),
        ("RETOUCH_NAMESPACE", "a:b", "a-z, 0-9 and -"),
        ("RETOUCH_FLOWER__USER", "a:b", "without blanks or colons"),
        ("RETOUCH_LOG__FORMAT", "xml", "write auto, console or json"),
        ("RETOUCH_LOG__LEVEL", "INFO", "write debug, info, warning or error"),
        ("RETOUCH_ENV", "staging", "write development or production"),
        ("RETOUCH_QUBICO__UNKNOWN_SUBMIT", "retry", "write adopt_or_resubmit or adopt_or_fail"),
        ("RETOUCH_EDITS__MAX_INPUT_BYTES", "10MB", "is not a size"),
        ("RETOUCH_SHUTDOWN_GRACE", "20", "has no unit"),
        ("RETOUCH_PUBLIC_URL", "retouch.example", "write one of http://, https://"),
        ("RETOUCH_PUBLIC_URL", "https://a.example/?x=1", "no query"),
        ("RETOUCH_PUBLIC_URL", "https://a.example/#x", "no #"),
        ("RETOUCH_CLIENT__URL", "ftp://a.example", "write one of http://, https://"),
        ("RETOUCH_STORAGE_URL", "ftp://bucket", "file://, s3://, gs://, az://"),
        ("RETOUCH_STORAGE_URL", "file://var/objects", "absolute path"),
        ("RETOUCH_STORAGE_URL", "s3:///prefix", "name of the bucket"),
        ("RETOUCH_STORAGE_URL", "s3://key:secret@bucket", "AWS_"),
    ],
)
def test_a_bad_value_is_refused_by_name_with_what_to_do(name, text, words):
    with pytest.raises(SettingsError) as refused:
        load({name: text}, None)
    (fault,) = refused.value.faults
    assert (fault.name, fault.source) == (name, "environment")
    assert words in fault.problem
    assert f"{name} (environment): " in str(refused.value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("YES", True), ("off", False), ("0", False)])
def test_a_switch_is_written_in_the_usual_ways(text, value):
    assert load({"RETOUCH_WEBHOOKS__ALLOW_PRIVATE": text}, None).webhooks.allow_private is value


@pytest.mark.parametrize("text", ["80%", "1%", "4GiB", "1000"])
def test_a_memory_cap_is_shown_as_it_is_written(text):
    assert values.show(values.memory_cap(text)) == text


@pytest.mark.parametrize("text", ["0%", "101%", "0.8", "much", "-1", ""])
def test_what_is_no_memory_cap_is_refused(text):
    with pytest.raises(ValueError, match=r"neither a share"):
        values.memory_cap(text)
