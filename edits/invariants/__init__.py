"""Checks that every invariant holds, over Redis, the storage and the provider's history, by reading alone."""

from edits.invariants.checker import check
from edits.invariants.history import HistoryTask, HistoryUnreadable, ProviderHistory
from edits.invariants.report import RULES, Report, Result, Rule

__all__ = ["RULES", "HistoryTask", "HistoryUnreadable", "ProviderHistory", "Report", "Result", "Rule", "check"]
