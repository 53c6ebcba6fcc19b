"""Whether everything that must hold does hold: over Redis, the storage and the provider's history, by reading alone."""

from edits.invariants.checker import check
from edits.invariants.history import Past, PastTask, PastUnreadable
from edits.invariants.report import RULES, Example, Report, Result, Rule

__all__ = ["RULES", "Example", "Past", "PastTask", "PastUnreadable", "Report", "Result", "Rule", "check"]
