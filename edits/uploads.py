"""Uploaded pictures: looked through, then kept in their edit's folder before the edit is accepted, removed if it is not."""

import asyncio
