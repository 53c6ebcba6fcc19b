import inspect

import pytest

from api.errors import CODES, SHOWN, FieldProblem, Problem, ProblemView, answer, of_domain
from edits import errors

CONTRACT = {
    400: {"malformed", "bad_cursor"}, 401: {"unauthorized"}, 404: {"not_found"}, 405: {"method_not_allowed"},
    409: {"idempotency_in_progress", "not_finished", "not_succeeded", "too_late"}, 410: {"gone"},
    413: {"body_too_large", "image_too_large"}, 415: {"unsupported_type"}, 416: {"range_not_satisfiable"},
    422: {"invalid", "idempotency_key_reused", "image_unreadable", "input_unreachable"},
    429: {"tenant_queue_full"}, 431: {"headers_too_large"},
    503: {"queue_full", "unavailable", "accept_unknown", "draining"},
}  # fmt: skip
"""405, 416 and 431 have no code in the contract's list: theirs are added."""


def test_the_codes_are_those_of_the_contract() -> None:
    by_status: dict[int, set[str]] = {}
    for code, kind in CODES.items():
        by_status.setdefault(kind.status, set()).add(code)
    assert by_status == CONTRACT


def test_every_error_of_the_domain_has_an_answer() -> None:
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.EditsError)}
    assert {kind.code for kind in classes - {errors.EditsError, errors.InputRefused}} < CODES.keys()


def test_a_refused_input_brings_its_own_code_and_pointer() -> None:
    problem = of_domain(errors.InputRefused("broken", code="image_unreadable", pointer="/image"))
    assert problem.code == "image_unreadable"
    assert problem.faults == [FieldProblem(pointer="/image", code="image_unreadable", message="broken")]


@pytest.mark.parametrize("code", [code for code, kind in CODES.items() if kind.status in {429, 503}])
def test_who_is_to_come_back_is_told_when(code: str) -> None:
    assert int(answer(Problem(code, "x"), path="/", request_id="r").headers["retry-after"]) >= 1


def test_a_full_queue_says_itself_when_to_come_back() -> None:
    problem = of_domain(errors.QueueFull("full", retry_after=42.4))
    assert answer(problem, path="/", request_id="r").headers["retry-after"] == "42"


def test_an_answer_has_all_members_and_at_most_a_hundred_faults() -> None:
    faults = [FieldProblem(pointer=f"/{n}", code="unknown_field", message="x") for n in range(SHOWN + 1)]
    response = answer(Problem("invalid", "many", faults=faults), path="/v1/edits", request_id="req_1")
    view = ProblemView.model_validate_json(bytes(response.body))
    assert response.media_type == "application/problem+json"
    assert response.status_code == view.status == 422
    assert (view.type, view.instance, view.request_id, view.retryable) == ("/docs#invalid", "/v1/edits", "req_1", False)
    assert view.errors == faults[:SHOWN]
