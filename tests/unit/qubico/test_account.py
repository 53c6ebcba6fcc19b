"""Pages of history: what makes a page no proof of anything."""

import pytest

from qubico.account import parse_account, parse_history
from qubico.errors import Unreadable

ROW = {"task_id": "t", "status": "completed", "created_at": "2026-01-15T09:20:11Z"}


def page_of(rows, **numbers):
    return parse_history({"code": 200, "data": {"data": rows, **numbers}}, page=1)


def test_rows_without_an_id_are_counted():
    page = page_of([ROW, {}, None, {"detail": {"task_id": "inner"}}])
    assert ([row.task_id for row in page.rows], page.unreadable) == (["t", "inner"], 2)


def test_a_list_without_paging_is_a_page():
    assert len(parse_history({"data": [ROW]}, page=1).rows) == 1


@pytest.mark.parametrize("payload", [None, [], {}, {"data": None}, {"data": {}}, {"data": {"data": {}}}, {"data": "x"}])
def test_no_list_is_no_page(payload):
    with pytest.raises(Unreadable):
        parse_history(payload, page=1)


def test_an_empty_page_behind_the_last_is_one():
    assert parse_history({"data": {"data": [], "total": 3, "size": 2}}, page=3).rows == ()


def test_an_empty_page_that_contradicts_its_total_is_no_page():
    with pytest.raises(Unreadable, match="total says 9"):
        page_of([], total=9)


def test_an_account_needs_at_least_one_field_that_we_know():
    assert parse_account({"data": {"id": 5}}).account_id == "5"
    with pytest.raises(Unreadable):
        parse_account({"code": 200, "data": {"hello": "world"}})
