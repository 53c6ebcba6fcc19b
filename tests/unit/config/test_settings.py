"""What `load` takes and refuses: where values come from, what belongs together, what production wants."""

from datetime import timedelta
from pathlib import Path

import pydantic
import pytest

from config.settings import SettingsError, load
from tests.unit.config.refusals import faults

KEY = "k" * 32
PRODUCTION = {
    "RETOUCH_ENV": "production",
    "RETOUCH_SECRET_KEY": KEY,
    "RETOUCH_API__ADMIN_KEY": "operator",
    "RETOUCH_PUBLIC_URL": "https://retouch.example",
    "RETOUCH_REDIS_URL": "redis://redis.example/0",
    "RETOUCH_STORAGE_URL": "s3://bucket/prefix",
    "RETOUCH_QUBICO__BASE_URL": "https://api.example",
    "RETOUCH_QUBICO__API_KEY": "provider-key",
    "RETOUCH_FLOWER__PASSWORD": "flower",
}


def test_the_defaults_are_those_of_the_contract():
    settings = load({}, None)
    assert settings.env == "development"
    assert settings.data_dir == Path("var").absolute()
    assert settings.secret_key is None
    assert (settings.api.host, settings.api.port, settings.api.processes) == ("127.0.0.1", 8000, 1)
    assert settings.public_url == "http://127.0.0.1:8000"
    assert (settings.redis_url, settings.broker_url) == (None, None)
    assert settings.storage_url == (Path("var").absolute() / "objects").as_uri()
    assert (settings.qubico.base_url, settings.qubico.api_key) == (None, None)
    assert (settings.qubico.creates_per_second, settings.qubico.reads_per_second) == (5, 50)
    assert settings.qubico.max_in_flight == 20
    assert settings.qubico.result_hosts == ("img.theapi.app", "storage.theapi.app")
    assert settings.qubico.webhooks is False
    assert settings.qubico.rebuy_failed == 0
    assert settings.qubico.unknown_submit == "adopt_or_resubmit"
    assert settings.qubico.unknown_quiet_period == timedelta(seconds=60)
    assert settings.edits.deadline == timedelta(minutes=15)
    assert (settings.edits.hot, settings.edits.retention) == (timedelta(days=2), timedelta(days=30))
    assert settings.edits.max_queued == 1_000_000
    assert (settings.edits.max_input_bytes, settings.edits.max_result_bytes) == (10 * 2**20, 20 * 2**20)
    assert settings.webhooks.allow_private is False
    assert settings.worker.processes >= 1
    assert (settings.metrics.port, settings.sandbox.port, settings.flower.port) == (9464, 8001, 5555)
    assert (settings.namespace, settings.flower.user, settings.redis_wait_replicas) == ("retouch", "ops", 0)
    assert (settings.log.format, settings.log.level) == ("auto", "info")
    assert settings.shutdown_grace == timedelta(seconds=20)
    assert settings.explicit == frozenset()


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"RETOUCH_API__PORT": "9000"}, "public_url", "http://127.0.0.1:9000"),
        ({"RETOUCH_API__HOST": "::1"}, "public_url", "http://[::1]:8000"),
        ({"RETOUCH_API__HOST": "0.0.0.0"}, "public_url", "http://127.0.0.1:8000"),
        ({"RETOUCH_PUBLIC_URL": "https://Retouch.Example/base/"}, "public_url", "https://retouch.example/base"),
        ({"RETOUCH_DATA_DIR": "/srv/with blank"}, "storage_url", "file:///srv/with%20blank/objects"),
        ({"RETOUCH_REDIS_URL": "redis://h/0", "RETOUCH_BROKER_URL": "redis://g"}, "broker_url", "redis://g"),
    ],
)
def test_defaults_follow_from_other_settings(environ, name, value):
    assert getattr(load(environ, None), name) == value


def test_the_provider_calls_back_by_itself_only_over_https():
    assert load({"RETOUCH_PUBLIC_URL": "https://retouch.example"}, None).qubico.webhooks is True
    assert load({"RETOUCH_PUBLIC_URL": "http://retouch.example"}, None).qubico.webhooks is False
    said = {"RETOUCH_PUBLIC_URL": "https://retouch.example", "RETOUCH_QUBICO__WEBHOOKS": "false"}
    assert load(said, None).qubico.webhooks is False


@pytest.mark.parametrize(
    ("environ", "livemode"),
    [
        ({}, False),
        ({"RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:8001", "RETOUCH_QUBICO__API_KEY": "k"}, False),
        ({"RETOUCH_QUBICO__BASE_URL": "https://api.example", "RETOUCH_QUBICO__API_KEY": "k"}, True),
        (
            {
                "RETOUCH_QUBICO__BASE_URL": "https://api.example",
                "RETOUCH_QUBICO__API_KEY": "k",
                "RETOUCH_QUBICO__SANDBOX": "true",
            },
            False,
        ),
    ],
)
def test_livemode_is_false_wherever_the_sandbox_may_answer(environ, livemode):
    assert load(environ, None).livemode is livemode


def test_the_tree_cannot_be_changed():
    settings = load({}, None)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.api.port = 1


class TestTogether:
    @pytest.mark.parametrize(
        ("environ", "name", "words"),
        [
            ({"RETOUCH_QUBICO__BASE_URL": "https://a.example"}, "RETOUCH_QUBICO__API_KEY", "set both or neither"),
            ({"RETOUCH_QUBICO__API_KEY": "k"}, "RETOUCH_QUBICO__BASE_URL", "set both or neither"),
            ({"RETOUCH_EDITS__HOT": "31d"}, "RETOUCH_EDITS__HOT", "longer than RETOUCH_EDITS__RETENTION"),
            ({"RETOUCH_BROKER_URL": "redis://h/1"}, "RETOUCH_BROKER_URL", "set without RETOUCH_REDIS_URL"),
            (
                {"RETOUCH_REDIS_URL": "redis://h", "RETOUCH_BROKER_URL": "redis://:pw@h:6379/0"},
                "RETOUCH_BROKER_URL",
                "same database",
            ),
            (
                {"RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD": "40s"},
                "RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD",
                "longer than the lease of a submit",
            ),
        ],
    )
    def test_settings_that_contradict_each_other_are_refused(self, environ, name, words):
        found = faults(environ)
        assert list(found) == [name]
        assert words in found[name]

    def test_a_key_must_have_32_bytes_not_characters(self):
        assert load({"RETOUCH_SECRET_KEY": "é" * 16}, None).secret_key is not None
        assert "the key has 31 bytes" in faults({"RETOUCH_SECRET_KEY": "k" * 31})["RETOUCH_SECRET_KEY"]

    def test_all_faults_come_in_one_message(self):
        found = faults(
            {
                "RETOUCH_ENV": "production",
                "RETOUCH_API__PORT": "x",
                "RETOUCH_EDITS__HOT": "2",
                "RETOUCH_SECRET_KEY": "short",
                "RETOUCH_API__ADMIN_KEY_FILE": "/nowhere",
                "RETOUCH_QUBICO__API_KEY": "k",
                "RETOUCH_ZZZ": "1",
            }
        )
        assert set(found) == {
            "RETOUCH_API__PORT",
            "RETOUCH_EDITS__HOT",
            "RETOUCH_SECRET_KEY",
            "RETOUCH_API__ADMIN_KEY_FILE",
            "RETOUCH_QUBICO__BASE_URL",
            "RETOUCH_ZZZ",
            "RETOUCH_PUBLIC_URL",
            "RETOUCH_REDIS_URL",
            "RETOUCH_STORAGE_URL",
            "RETOUCH_FLOWER__PASSWORD",
        }

    @pytest.mark.parametrize(
        "environ",
        [
            {"RETOUCH_SECRET_KEY": "hunter2"},
            {"RETOUCH_API__ADMIN_KEY": "hunter2 with blanks"},
            {"RETOUCH_FLOWER__PASSWORD": "hunter2\n"},
            {"RETOUCH_REDIS_URL": "ftp://:hunter2@h"},
            {"RETOUCH_REDIS_URL": "redis://:hunter2@h", "RETOUCH_BROKER_URL": "redis://:hunter2@h/0"},
        ],
    )
    def test_no_message_shows_a_secret(self, environ):
        with pytest.raises(SettingsError) as refused:
            load(environ, None)
        assert "hunter2" not in str(refused.value)


class TestProduction:
    def test_a_whole_production_system_is_taken(self):
        settings = load(PRODUCTION, None)
        assert settings.livemode
        assert settings.qubico.webhooks

    @pytest.mark.parametrize("name", sorted(PRODUCTION.keys() - {"RETOUCH_ENV"}))
    def test_each_missing_part_is_named(self, name):
        found = faults({key: value for key, value in PRODUCTION.items() if key != name})
        assert name in found
        assert found.keys() <= {name, "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY"}

    @pytest.mark.parametrize(
        ("changed", "name", "words"),
        [
            ({"RETOUCH_STORAGE_URL": "file:///srv"}, "RETOUCH_STORAGE_URL", "RETOUCH_STORAGE_SHARED=true"),
            ({"RETOUCH_PUBLIC_URL": "http://retouch.example"}, "RETOUCH_PUBLIC_URL", "must be an https:// address"),
            ({"RETOUCH_WEBHOOKS__ALLOW_PRIVATE": "true"}, "RETOUCH_WEBHOOKS__ALLOW_PRIVATE", "refused in production"),
            (
                {"RETOUCH_QUBICO__BASE_URL": "http://sandbox:8001"},
                "RETOUCH_QUBICO__BASE_URL",
                "RETOUCH_QUBICO__SANDBOX=true",
            ),
        ],
    )
    def test_what_is_for_development_only_is_refused(self, changed, name, words):
        found = faults(PRODUCTION | changed)
        assert list(found) == [name]
        assert words in found[name]

    @pytest.mark.parametrize(
        "said",
        [
            {"RETOUCH_STORAGE_URL": "file:///srv/retouch", "RETOUCH_STORAGE_SHARED": "true"},
            {"RETOUCH_QUBICO__BASE_URL": "http://sandbox:8001", "RETOUCH_QUBICO__SANDBOX": "true"},
        ],
    )
    def test_what_was_said_on_purpose_is_taken(self, said):
        assert load(PRODUCTION | said, None).env == "production"

    def test_a_command_that_only_talks_to_an_api_needs_none_of_it(self):
        settings = load({"RETOUCH_ENV": "production"}, None, production_guards=False)
        assert settings.env == "production"


def test_describe_shows_every_setting_and_lease_and_no_secret():
    rows = {row.name: row for row in load(PRODUCTION | {"RETOUCH_EDITS__DEADLINE": "PT10M"}, None).describe()}
    assert rows["RETOUCH_EDITS__DEADLINE"].value == "10m"
    assert rows["RETOUCH_EDITS__DEADLINE"].source == "environment"
    assert rows["RETOUCH_EDITS__MAX_RESULT_BYTES"].value == "20MiB"
    assert rows["RETOUCH_BROKER_URL"].source == "worked out"
    assert rows["RETOUCH_NAMESPACE"].source == "default"
    assert rows["RETOUCH_SECRET_KEY"].value == "******"
    assert rows["RETOUCH_SECRET_KEY_PREVIOUS"].value == ""
    assert rows["leases.submit_lease"].value == "40s"
    assert all(row.meaning for row in rows.values())
    assert KEY not in repr(rows)
    assert KEY not in repr(load(PRODUCTION, None))
