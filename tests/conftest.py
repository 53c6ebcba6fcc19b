"""What every ring of tests shares: the real parts (Valkey, S3, the sandbox, the whole stack), one module each."""

pytest_plugins = [
    "tests.parts.valkey",
    "tests.parts.s3",
    "tests.parts.sandbox",
    "tests.parts.stack",
    "tests.parts.browser",
]
