"""Attempt tokens: only what we signed for this namespace names an attempt; everything else names none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.attempts import Attempt, Tokens
from edits.models import new_id

SECRET = "a secret of at least thirty-two bytes"
OLD = "the secret before the last rotation of it"
ATTEMPT = Attempt("edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C", 3)
tokens = Tokens("retouch", SECRET)
TOKEN = tokens.sign(ATTEMPT)


@given(number=st.integers(1, 10**6))
def test_a_token_names_its_attempt(number: int):
    attempt = Attempt(new_id(), number)
    assert tokens.verify(tokens.sign(attempt)) == attempt


def test_a_token_says_to_a_person_whose_it_is():
    assert TOKEN.startswith("retouch.edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C.3.")


def test_a_token_is_safe_in_the_path_of_an_address():
    assert TOKEN.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert len(TOKEN) < 100


def test_the_same_attempt_has_the_same_token():
    assert tokens.sign(ATTEMPT) == TOKEN


@given(where=st.integers(0, len(TOKEN) - 1), other=st.characters(codec="utf-8"))
def test_a_token_with_one_other_character_names_nothing(where: int, other: str):
    changed = TOKEN[:where] + other + TOKEN[where + 1 :]
    assert tokens.verify(changed) == (ATTEMPT if changed == TOKEN else None)


@given(text=st.text(st.characters(codec="utf-8")))
def test_no_text_of_the_outside_world_names_an_attempt(text: str):
    assert tokens.verify(text) is None
    assert tokens.verify(f"retouch.{ATTEMPT.edit_id}.3.{text}") is None


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "...", "....", TOKEN + ".", "." + TOKEN, TOKEN.rpartition(".")[0], TOKEN + "=", TOKEN + "\n",
        TOKEN.replace(".3.", ".03."), TOKEN.replace(".3.", ".٣."), TOKEN.replace(".3.", ".-3."), TOKEN * 2,
    ],
)  # fmt: skip
def test_what_looks_like_a_token_names_nothing(token: str):
    assert tokens.verify(token) is None


def test_another_namespace_or_secret_believes_nothing_of_ours():
    assert Tokens("other", SECRET).verify(TOKEN) is None
    assert Tokens("retouch", OLD).verify(TOKEN) is None


def test_tokens_of_the_secret_before_the_last_rotation_are_believed():
    rotated = Tokens("retouch", SECRET, previous=OLD)
    assert rotated.verify(Tokens("retouch", OLD).sign(ATTEMPT)) == ATTEMPT
    assert rotated.sign(ATTEMPT) == TOKEN


@pytest.mark.parametrize("junk", ["\ud800", TOKEN + "\ud800", "é" + TOKEN, TOKEN.replace(".3.", ".3\ud800.")])
def test_what_the_provider_may_echo_instead_is_no_token(junk: str):
    assert Tokens("retouch", SECRET).verify(junk) is None
