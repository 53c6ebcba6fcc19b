"""What every ring of tests shares: the real parts (Valkey, S3, the sandbox, …), one module each in `tests/parts`."""

import pytest
from hypothesis import settings

# How long an example takes tells more of the machine than of the code.
settings.register_profile("machine", deadline=None)
settings.load_profile("machine")

pytest_plugins = [
    "tests.parts.valkey", "tests.parts.s3", "tests.parts.azure", "tests.parts.sandbox", "tests.parts.stack",
    "tests.parts.browser", "tests.parts.patience",
]  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no process is left with them while the others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("fault") is None)
