"""The caller. Every use case takes a `Principal`: its tenant's edits are the only ones to see and change."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    SUBMIT = "submit"  # accept, cancel and retry edits
    READ = "read"  # get and list edits and their files
    ADMIN = "admin"  # the operator's calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    tenant: str
    scopes: frozenset[Scope]
    key_id: str  # names the API key, for logs; it is not the key


OPERATOR: Final = Principal(tenant="default", scopes=frozenset(Scope), key_id="admin")
"""Who holds `RETOUCH_API__ADMIN_KEY`."""
