import pytest

from api.schemas.views import dollars


@pytest.mark.parametrize(
    ("units", "usd"),
    [
        (0, "0.00"),
        (200_000, "0.02"),
        (2_000_000, "0.20"),
        (10_000_000, "1.00"),
        (1_000_000_000, "100.00"),
        (123_456, "0.0123456"),
        (1, "0.0000001"),
    ],
)
def test_money_is_exact_and_shows_the_cents(units: int, usd: str) -> None:
    assert dollars(units) == usd
