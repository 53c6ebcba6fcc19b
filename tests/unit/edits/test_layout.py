"""Where an edit's objects are: the day is in the id, each attempt has its place, and no key leads out of the store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.models import new_id
from edits.storage import layout

EDIT = "edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C"
FOLDER = f"edits/2025/11/22/{EDIT}"


def test_the_day_of_the_folder_is_in_the_id():
    assert layout.edit_folder(EDIT) == FOLDER
    assert layout.manifest_key(EDIT) == f"{FOLDER}/manifest.json"
    assert layout.input_key(EDIT, "webp") == f"{FOLDER}/input.webp"


def test_the_first_result_is_in_the_folder_and_later_ones_below_it():
    assert layout.result_key(EDIT, 1, "png") == f"{FOLDER}/result.png"
    assert layout.result_key(EDIT, 2, "jpg") == f"{FOLDER}/2/result.jpg"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("", id="nothing"),
        pytest.param("edit_x", id="too short"),
        pytest.param("01KAPQ0Q5XMM1DZVQJ2M4E6T9C", id="a bare ULID"),
        pytest.param("task_01KAPQ0Q5XMM1DZVQJ2M4E6T9C", id="of something else"),
        pytest.param("edit_../../../../../etc/passwd", id="a path"),
        pytest.param("edit_../../../etc/passwd/abcdef", id="a path as long as an id"),
        pytest.param("edit_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", id="of the year 10889"),
    ],
)
def test_what_is_no_id_of_an_edit_has_no_folder(bad: str):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are python-ulid's
        layout.edit_folder(bad)


def test_every_key_of_ours_is_accepted_and_tells_its_edit():
    edit_id = new_id()
    for key in (layout.result_key(edit_id, 3, "png"), layout.input_key(edit_id, "jpg"), layout.manifest_key(edit_id)):
        assert layout.checked(key) == key
        assert layout.edit_of(key) == edit_id


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(FOLDER, id="the folder itself"),
        pytest.param(f"edits/2025/11/23/{EDIT}/result.png", id="of another day"),
        pytest.param(f"others/2025/11/22/{EDIT}/result.png", id="of another kind"),
        pytest.param("edits/2025/11/22/notes/result.png", id="of no edit"),
        pytest.param("edits/2025/11/22", id="a day"),
        pytest.param(f"{FOLDER}/../result.png", id="that climbs"),
        pytest.param("", id="nothing"),
    ],
)
def test_other_keys_are_no_edits(key: str):
    assert layout.edit_of(key) is None


CLIMBING = ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "a/./b", ".hidden", "a/.b", "a\\b"]
STRANGE = ["a b", "a\0b", "ä", "a\n", "a#1", "a%2e", "a?b", "~", "C:x", "a" * 513]


@pytest.mark.parametrize("key", CLIMBING + STRANGE)
def test_a_key_that_climbs_or_hides_is_refused(key: str):
    with pytest.raises(ValueError, match="key"):
        layout.checked(key)


@given(st.text(max_size=30))
def test_an_accepted_key_stays_below_its_root(text: str):
    try:
        key = layout.checked(text)
    except ValueError:
        return
    assert not key.startswith("/")
    assert ".." not in key.split("/")


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("a/result.png", "image/png"),
        ("a/result.jpg", "image/jpeg"),
        ("a/input.webp", "image/webp"),
        ("a/manifest.json", "application/json"),
        ("checks/1234", "application/octet-stream"),
    ],
)
def test_the_extension_tells_the_content_type(key: str, content_type: str):
    assert layout.content_type(key) == content_type
