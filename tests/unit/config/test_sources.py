"""Where settings come from: the environment over `.env`, files for secrets, and unknown names."""

import pytest

from config.settings import SettingsError, load
from tests.unit.config.refusals import faults

KEY = "k" * 32


class TestSources:
    def test_the_environment_beats_dotenv(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text('# a comment\nRETOUCH_API__PORT=9001\nexport RETOUCH_NAMESPACE="shop-1"\nOTHER=1\n')
        settings = load({"RETOUCH_API__PORT": "9002"}, dotenv)
        assert (settings.api.port, settings.namespace) == (9002, "shop-1")
        assert settings.explicit == {"RETOUCH_API__PORT", "RETOUCH_NAMESPACE"}
        assert settings.sources["RETOUCH_API__PORT"] == "environment"
        assert settings.sources["RETOUCH_NAMESPACE"] == ".env"

    def test_dotenv_is_taken_literally(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("RETOUCH_API__ADMIN_KEY='a$HOME${X}b'\n")
        key = load({"HOME": "/root"}, dotenv).api.admin_key
        assert key is not None
        assert key.get_secret_value() == "a$HOME${X}b"

    def test_a_bad_value_in_dotenv_is_laid_at_its_door(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("RETOUCH_API__PORT=no\nRETOUCH_SPEED=1\n")
        with pytest.raises(SettingsError) as refused:
            load({}, dotenv)
        assert {(fault.name, fault.source) for fault in refused.value.faults} == {
            ("RETOUCH_API__PORT", ".env"),
            ("RETOUCH_SPEED", ".env"),
        }

    def test_a_broken_line_in_dotenv_is_named_by_number(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("RETOUCH_API__PORT=9001\nthis is 'not a setting\n")
        assert "line 2 is not NAME=value" in faults({}, dotenv)[str(dotenv)]

    def test_a_dotenv_that_cannot_be_read_is_a_fault(self, tmp_path):
        assert "cannot be read" in faults({}, tmp_path)[str(tmp_path)]

    def test_no_dotenv_is_no_fault(self, tmp_path):
        assert load({}, tmp_path / ".env").api.port == 8000

    def test_empty_counts_as_not_set(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("RETOUCH_API__PORT=9001\nRETOUCH_REDIS_URL=\n")
        settings = load({"RETOUCH_API__PORT": "", "RETOUCH_SECRET_KEY": "", "RETOUCH_LOG__LEVEL": " "}, dotenv)
        assert (settings.api.port, settings.redis_url, settings.log.level) == (9001, None, "info")
        assert settings.explicit == {"RETOUCH_API__PORT"}

    def test_what_the_storage_reads_is_gathered_with_dotenv_beneath(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("AWS_REGION=eu-1\nAWS_ACCESS_KEY_ID=below\n")
        settings = load({"AWS_ACCESS_KEY_ID": "above", "HOME": "/root"}, dotenv)
        assert settings.storage_environment == {"AWS_REGION": "eu-1", "AWS_ACCESS_KEY_ID": "above"}
        assert "above" not in repr(settings)


class TestSecretFiles:
    @pytest.mark.parametrize(
        "name",
        [
            "RETOUCH_SECRET_KEY",
            "RETOUCH_SECRET_KEY_PREVIOUS",
            "RETOUCH_API__ADMIN_KEY",
            "RETOUCH_QUBICO__API_KEY",
            "RETOUCH_FLOWER__PASSWORD",
            "RETOUCH_CLIENT__API_KEY",
            "RETOUCH_REDIS_URL",
            "RETOUCH_BROKER_URL",
        ],
    )
    def test_every_secret_is_also_taken_from_a_file(self, name, tmp_path):
        value = "redis://:pw@h/3" if name.endswith("URL") else KEY
        (tmp_path / "secret").write_text(f"{value}\n")
        company = {
            "RETOUCH_QUBICO__API_KEY": {"RETOUCH_QUBICO__BASE_URL": "https://api.example"},
            "RETOUCH_BROKER_URL": {"RETOUCH_REDIS_URL": "redis://h/0"},
        }
        settings = load({f"{name}_FILE": str(tmp_path / "secret"), **company.get(name, {})}, None)
        assert settings.sources[name] == f"file {tmp_path / 'secret'}"
        assert name in settings.explicit
        (row,) = (row for row in settings.describe() if row.name == name)
        assert row.value == ("redis://******@h/3" if name.endswith("URL") else "******")

    def test_a_secret_and_its_file_together_are_refused(self, tmp_path):
        (tmp_path / "secret").write_text(KEY)
        found = faults({"RETOUCH_SECRET_KEY": KEY, "RETOUCH_SECRET_KEY_FILE": str(tmp_path / "secret")})
        assert found == {"RETOUCH_SECRET_KEY": "RETOUCH_SECRET_KEY_FILE is set as well; keep one of the two"}

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "no such file"),
            (b"", "the file is empty"),
            (b" \n", "the file is empty"),
            (b"\xff\xfe", "not UTF-8 text"),
            (b"x" * 70_000, "larger than 64 KiB"),
        ],
    )
    def test_a_file_that_gives_nothing_is_a_fault_of_its_name(self, content, words, tmp_path):
        path = tmp_path / "secret"
        if content is not None:
            path.write_bytes(content)
        found = faults({"RETOUCH_API__ADMIN_KEY_FILE": str(path)})
        assert list(found) == ["RETOUCH_API__ADMIN_KEY_FILE"]
        assert words in found["RETOUCH_API__ADMIN_KEY_FILE"]
        assert str(path) in found["RETOUCH_API__ADMIN_KEY_FILE"]

    def test_only_secrets_have_files(self):
        assert "RETOUCH_API__PORT_FILE" in faults({"RETOUCH_API__PORT_FILE": "/tmp/port"})

    def test_the_environment_beats_a_file_named_in_dotenv_without_opening_it(self, tmp_path):
        dotenv = tmp_path / ".env"
        dotenv.write_text("RETOUCH_API__ADMIN_KEY_FILE=/nowhere\n")
        key = load({"RETOUCH_API__ADMIN_KEY": "above"}, dotenv).api.admin_key
        assert key is not None
        assert key.get_secret_value() == "above"


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("RETOUCH_API_PORT", "RETOUCH_API__PORT"),
            ("RETOUCH_QUBICO__MAX_INFLIGHT", "RETOUCH_QUBICO__MAX_IN_FLIGHT"),
            ("RETOUCH_SECRETKEY", "RETOUCH_SECRET_KEY"),
            ("RETOUCH_REDIS_URI", "RETOUCH_REDIS_URL"),
        ],
    )
    def test_an_unknown_name_is_refused_with_the_nearest(self, name, near):
        assert faults({name: "1"}) == {name: f"there is no such setting; did you mean {near}?"}

    def test_a_name_near_to_none_points_to_the_list(self):
        assert "see .env.example" in faults({"RETOUCH_ZZZ": "1"})["RETOUCH_ZZZ"]

    def test_warn_softens_unknown_names_and_nothing_else(self):
        settings = load({"RETOUCH_UNKNOWN_SETTINGS": "warn", "RETOUCH_ZZZ": "1"}, None)
        assert len(settings.warnings) == 1
        assert settings.warnings[0].startswith("RETOUCH_ZZZ (environment): there is no such setting")
        softened = faults({"RETOUCH_UNKNOWN_SETTINGS": "warn", "RETOUCH_ZZZ": "1", "RETOUCH_API__PORT": "x"})
        assert list(softened) == ["RETOUCH_API__PORT"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RETOUCH_API_SERVICE_HOST", "10.0.0.1"),
            ("RETOUCH_API_SERVICE_PORT", "8000"),
            ("RETOUCH_API_SERVICE_PORT_HTTP", "8000"),
            ("RETOUCH_API_PORT", "tcp://10.0.0.1:8000"),
            ("RETOUCH_PORT", "udp://10.0.0.1:8000"),
            ("RETOUCH_API_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
            ("RETOUCH_API_PORT_8000_TCP_PROTO", "tcp"),
            ("RETOUCH_API_PORT_8000_TCP_PORT", "8000"),
            ("RETOUCH_API_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("RETOUCH_TEST_REDIS_SERVER", "/usr/bin/redis-server"),
            ("NOT_RETOUCH_X", "1"),
        ],
    )
    def test_what_kubernetes_injects_and_what_tests_reserve_is_ignored(self, name, value):
        assert load({name: value}, None).explicit == frozenset()

    def test_a_port_that_only_looks_injected_is_not_ignored(self):
        assert "RETOUCH_SANDBOX_PORT" in faults({"RETOUCH_SANDBOX_PORT": "8001"})
