"""Each script carries of the preludes what it needs, and nothing else."""

import re

from edits.db.loader import PRELUDES, parts, words
from edits.db.sender import FOLDER, SCRIPTS

GIVEN = parts(FOLDER)


def test_nothing_of_the_preludes_is_lost_on_the_way():
    written = "".join((FOLDER / f"{name}.lua").read_text() for name in PRELUDES)
    lines = [line for line in written.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    assert [line for part in GIVEN for line in part.text.splitlines() if line.strip()] == lines


def test_a_script_has_whatever_it_names_in_the_order_of_the_preludes():
    for script in SCRIPTS.values():
        later = (FOLDER / f"{script.name}.lua").read_text()
        end = len(script.text)
        for part in reversed(GIVEN):
            place = script.text.find("\n" + part.text.split("\n", 1)[0] + "\n")
            assert (place >= 0) == bool(part.declares & words(later)), (script.name, part.declares)
            if place >= 0:
                assert place < end, (script.name, part.declares)
                later, end = script.text[place:], place


def test_a_script_has_nothing_that_it_does_not_name():
    cancel = SCRIPTS["cancel"].text
    assert "local function advance(" in cancel
    assert "local function quote(" not in cancel
    assert "max_in_flight" not in cancel


def test_every_argument_that_a_script_takes_is_checked():
    kinds = dict(re.findall(r"(\w+) = '(\w+)'", GIVEN[0].text))
    for script in SCRIPTS.values():
        asked = re.findall(r"\bA\.(\w+)", script.text)
        asked += [
            name for names in re.findall(r"\bneed\(([^)]*)\)", script.text) for name in re.findall(r"'(\w+)'", names)
        ]
        for name in set(asked) - {"timeline", "with_input"}:  # only whether they are there counts
            assert f"v = A.{name} if v ~= nil and (" in script.text, (script.name, name)
            assert f"refuse('{name}', '{kinds[name]}')" in script.text, (script.name, name)
