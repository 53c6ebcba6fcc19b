"""Each script includes the preludes it needs, and no other: Redis runs the whole text at every call."""

import re

import pytest

from edits.db import constants
from edits.db.loader import compose, includes
from edits.db.sender import FOLDER, SCRIPTS

PRELUDES = {path.stem: path.read_text() for path in FOLDER.glob("_*.lua")}
TEXTS = PRELUDES | {name: (FOLDER / f"{name}.lua").read_text() for name in SCRIPTS}


def code(text: str) -> str:
    """Without strings, comments, and the names of fields."""
    return re.sub(r"\.\w+", "", re.sub(r"--.*", "", re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "''", text)))


def names(text: str) -> set[str]:
    """What a text uses that is not one of its own inner variables."""
    inner = {
        name for found in re.findall(r"^ +local (?:function )?([\w, ]+)", text, re.MULTILINE) for name in words(found)
    }
    return words(code(text)) - inner


def declared(text: str) -> set[str]:
    heads = re.findall(r"^local (?:function )?([\w, ]+?)(?= =|\(| --|$)", text, re.MULTILINE)
    return {name for head in heads for name in words(head)}


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


OWNER = {name: prelude for prelude, text in PRELUDES.items() for name in declared(text)}


def test_preludes_declare_no_name_twice():
    assert len(OWNER) == sum(len(declared(text)) for text in PRELUDES.values())


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_includes_all_that_it_uses(name: str):
    """Else Redis would refuse the unknown name when it meets it, which may be after a write."""
    needed = {OWNER[word] for word in names(TEXTS[name]) if word in OWNER} - {name}
    assert needed <= set(includes(FOLDER, TEXTS[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_includes_nothing_that_it_does_not_use(name: str):
    for prelude in " ".join(re.findall(r"^--- @include (.+)$", TEXTS[name], re.MULTILINE)).split():
        assert declared(PRELUDES[prelude]) & names(TEXTS[name]), (name, prelude)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_prelude_stands_once_after_those_that_it_uses(name: str):
    text = SCRIPTS[name].text
    for prelude in set(includes(FOLDER, TEXTS[name])):
        (first, *_) = re.findall(r"^local [^\n]*", PRELUDES[prelude], re.MULTILINE)
        first = re.sub(r"\$([A-Z_]+)", lambda shared: constants.lua(shared[1]), first)
        assert text.count("\n" + first + "\n") == 1
        before = text[: text.index("\n" + first + "\n")]
        assert all(f"local {word}" in before or re.search(rf"^local .*\b{word}\b", before, re.MULTILINE)
                   for word in names(PRELUDES[prelude]) & OWNER.keys() - declared(PRELUDES[prelude]))  # fmt: skip


def test_a_script_carries_no_comment_and_no_prelude_of_another_purpose():
    for script in SCRIPTS.values():
        assert not re.search(r"^ *--", script.text, re.MULTILINE), script.name
    assert "local function advance(" in SCRIPTS["cancel"].text
    assert "local function quote(" not in SCRIPTS["cancel"].text


def test_a_missing_prelude_is_named(tmp_path):
    (tmp_path / "odd.lua").write_text("#!lua\n--- @include _gone\nreturn 1\n")
    with pytest.raises(FileNotFoundError, match="_gone"):
        compose(tmp_path, "odd")


def test_a_value_shared_with_python_is_written_out(tmp_path):
    (tmp_path / "odd.lua").write_text("#!lua\nlocal most, final = $HORIZON, $FINAL\n")
    assert compose(tmp_path, "odd").text.endswith("local most, final = 3600000, {'canceled', 'failed', 'succeeded'}\n")
    (tmp_path / "odd.lua").write_text("#!lua\nreturn $UNDECLARED\n")
    with pytest.raises(KeyError, match="UNDECLARED"):
        compose(tmp_path, "odd")
