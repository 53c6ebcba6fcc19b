"""`.env.example` is the settings themselves, and the production template is one that production takes."""

from pathlib import Path

from config import reference
from config.settings import load
from config.tree import ENTRIES

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_the_example_file_is_the_settings():
    assert EXAMPLE.read_text(encoding="utf-8") == reference.env_example(), "regenerate it: python -m config.reference"


def test_the_example_with_every_line_taken_in_changes_nothing(tmp_path):
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    (tmp_path / ".env").write_text("\n".join(line.removeprefix("#") for line in lines if line.startswith("#RETOUCH_")))
    read = {row.name: row.value for row in load({}, tmp_path / ".env").describe()}
    assert read == {row.name: row.value for row in load({}, None).describe()}


def test_every_setting_stands_in_the_example_once():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for entry in ENTRIES:
        assert sum(line.startswith(f"#{entry.name}=") for line in lines) == 1
        assert entry.meaning


def test_the_production_template_lacks_only_what_must_be_filled_in(tmp_path):
    filled = []
    for line in reference.production_template().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            filled.append(f"{name}={value or ('https://api.example' if name.endswith('URL') else 'x' * 40)}")
    (tmp_path / ".env").write_text("\n".join(filled))
    assert load({}, tmp_path / ".env").env == "production"
