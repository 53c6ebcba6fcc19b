"""What every ring of tests shares: the real parts (Valkey, S3, the sandbox, …), one module each in `tests/parts`."""

pytest_plugins = [
    "tests.parts.valkey", "tests.parts.s3", "tests.parts.azure", "tests.parts.sandbox", "tests.parts.stack",
    "tests.parts.browser",
]  # fmt: skip
