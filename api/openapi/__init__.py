"""The description at /openapi.json and its examples. It may import `schemas`, `auth` and `errors`."""
