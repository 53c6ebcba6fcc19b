"""Requests and answers as models, and how records become answers. Schemas may import `body`, `live` and `errors`."""
