"""What free texts mean, and what of them may be shown."""

import pytest

from qubico import prose


@pytest.mark.parametrize(
    "text",
    [
        "insufficient credits", "Insufficient Balance", "insufficient account balance", "balance is not enough",
        "not enough points", "your credit has been exhausted", "out of credits", "quota is used up",
    ],
)  # fmt: skip
def test_texts_about_missing_credit_are_known(text):
    assert prose.speaks_of_missing_credit([text])


@pytest.mark.parametrize("text", ["Insufficient plan level", "invalid task type", "not enough workers", "credit card"])
def test_other_texts_are_not_about_credit(text):
    assert not prose.speaks_of_missing_credit([text])


@pytest.mark.parametrize("text", ["Insufficient plan level", "this model is not enabled", "invalid task_type"])
def test_texts_about_the_model_are_known(text):
    assert prose.speaks_of_the_model([text])


@pytest.mark.parametrize("text", ["account suspended", "explanation needed", "forbidden"])
def test_other_texts_are_not_about_the_model(text):
    assert not prose.speaks_of_the_model([text])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        (
            "get https://u:p@files.example.com:8443/a/b.png?sig=1#x failed",
            "get https://files.example.com:8443/… failed",
        ),
        ('Get "http://10.0.0.5/in.png": timeout', 'Get "http://10.0.0.5/…": timeout'),
        ("bad data:image/png;base64,iVBORw0KGgo= here", "bad data:… here"),
        ("x" * 600, "x" * 499 + "…"),
    ],
    ids=["plain", "credentials", "quoted", "data uri", "long"],
)
def test_shown_texts_hold_hosts_but_no_addresses(text, shown):
    assert prose.shown(text) == shown
