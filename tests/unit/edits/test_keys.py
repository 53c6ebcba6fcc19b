"""Python's one map of keys and the Lua scripts name the same keys."""

import re
from pathlib import Path

import edits
from edits.db.fields import Field
from edits.db.keys import Key
from edits.db.sender import FOLDER, SCRIPTS

PYTHON_ALONE = {Key.MARK, Key.MARKER}


def test_every_key_of_a_script_is_on_the_map_and_every_key_of_the_map_is_used_by_a_script():
    scripts = "".join(path.read_text() for path in FOLDER.glob("*.lua"))
    assert set(re.findall(r"\bkey\('(\w+)'", scripts)) <= set(Key)
    assert set(Key) - PYTHON_ALONE <= set(re.findall(r"'(\w+)'", scripts))


def test_a_key_is_its_name_and_parts_under_the_namespace():
    assert Key.EXTERNAL_ID.of("retouch", "default", "order:7") == "retouch:ext:default:order:7"
    assert Key.STATS.of("retouch") == "retouch:stats"


def test_the_scripts_use_every_field_of_a_record_and_no_other():
    scripts = re.sub(r"--.*", "", "".join(path.read_text() for path in FOLDER.glob("*.lua")))
    assert set(Field) <= set(re.findall(r"\b[a-z]{2}\b", scripts))
    assert set(re.findall(r"\be\.([a-z]{2})\b", scripts)) <= {*Field, "id"}


def test_each_script_has_one_typed_call_for_each_of_its_operations():
    """`tick` is part of the sender itself."""
    modules = "".join(path.read_text("utf-8") for path in Path(edits.__file__).parent.rglob("*.py"))
    called = re.findall(r'\b(?:Script|_decide)\(\s*"(\w+)"(?:, \w+, op="(\w+)")?', modules)
    assert len(called) == len(set(called))
    assert {name for name, _ in called} == SCRIPTS.keys() - {"tick"}
