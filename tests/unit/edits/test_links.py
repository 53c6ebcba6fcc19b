"""Sealed texts: only ours are believed, only for their purpose, and links only in their time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.storage.links import LinkExpired, LinkInvalid, Links

SECRET = "a secret of at least thirty-two bytes"
OLD_SECRET = "the secret before the last rotation of it"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "edits/2026/11/22/edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C/result.png"

links = Links(SECRET)


def test_a_link_names_its_object_until_it_expires():
    token = links.sign(KEY, expires_at=NOW + timedelta(minutes=5))
    assert links.verify(token, now=NOW) == KEY
    assert links.verify(token, now=NOW + timedelta(minutes=4, seconds=59)) == KEY


def test_an_expired_link_is_refused():
    token = links.sign(KEY, expires_at=NOW)
    with pytest.raises(LinkExpired):
        links.verify(token, now=NOW)


def test_a_link_is_never_shorter_than_promised():
    token = links.sign(KEY, expires_at=NOW + timedelta(milliseconds=300))
    assert links.verify(token, now=NOW + timedelta(milliseconds=299)) == KEY


def test_a_link_needs_a_time_zone():
    with pytest.raises(ValueError, match="time zone"):
        links.sign(KEY, expires_at=datetime(2026, 11, 22))  # noqa: DTZ001 - the fault under test


@given(purpose=st.text(max_size=40), payload=st.text(max_size=300))
def test_what_was_sealed_comes_back(purpose: str, payload: str):
    token = links.seal(purpose, payload)
    assert links.unseal(purpose, token) == payload
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.data())
def test_a_link_with_any_character_changed_is_refused(data: st.DataObject):
    token = links.sign(KEY, expires_at=NOW + timedelta(minutes=5))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda c: c != token[at]))
    with pytest.raises(LinkInvalid):
        links.verify(token[:at] + other + token[at + 1 :], now=NOW)


@given(st.text(max_size=200))
def test_what_we_did_not_make_is_refused(token: str):
    with pytest.raises(LinkInvalid):
        links.unseal("cursor", token)


@given(st.integers(1, 60))
def test_a_link_cut_short_or_made_longer_is_refused(by: int):
    token = links.sign(KEY, expires_at=NOW + timedelta(minutes=5))
    for changed in (token[:-by], token + "A" * by, token + "=" * by):
        with pytest.raises(LinkInvalid):
            links.verify(changed, now=NOW)


def test_an_endless_token_is_refused():
    with pytest.raises(LinkInvalid):
        links.verify("A" * 10_000_000, now=NOW)


@pytest.mark.parametrize(
    ("purpose", "other"),
    [
        pytest.param("cursor", "object link", id="two purposes"),
        pytest.param("cursor", "", id="no purpose"),
        pytest.param("cursor", "cursor\0", id="a purpose with a zero at its end"),
        pytest.param("cursor", "cursora", id="a purpose that takes in the payload"),
    ],
)
def test_a_seal_for_one_purpose_is_worth_nothing_for_another(purpose: str, other: str):
    with pytest.raises(LinkInvalid):
        links.unseal(other, links.seal(purpose, "a payload"))


def test_a_page_mark_is_no_link_to_an_object():
    with pytest.raises(LinkInvalid):
        links.verify(links.seal("cursor", f"9999999999:{KEY}"), now=NOW)


def test_the_previous_secret_still_verifies_and_no_longer_signs():
    before, during, after = Links(OLD_SECRET), Links(SECRET, previous=OLD_SECRET), Links(SECRET)
    old_token = before.sign(KEY, expires_at=NOW + timedelta(hours=1))
    assert during.verify(old_token, now=NOW) == KEY
    assert after.verify(during.sign(KEY, expires_at=NOW + timedelta(hours=1)), now=NOW) == KEY
    with pytest.raises(LinkInvalid):
        after.verify(old_token, now=NOW)


def test_links_without_a_secret_are_not_made():
    with pytest.raises(ValueError, match="RETOUCH_SECRET_KEY"):
        Links("")
