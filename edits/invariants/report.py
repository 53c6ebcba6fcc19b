"""The rules and the check's report: for each rule how much was checked, what violates it and what was not checked."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

EXAMPLES: Final = 5


class Rule(NamedTuple):
    """The meaning of a violation, and the operator's remedy."""

    means: str
    do: str


_REPORT_IT: Final = "keep the record (`retouch status ID --json`, HGETALL e:ID) and report it: no script should do this"

RULES: Final[dict[str, Rule]] = {
    "readable": Rule(
        "a record that this version cannot read: only a newer process can work on it",
        "if a newer version runs or ran here, let its workers end it; else restore the record from a backup",
    ),
    "one_place": Rule("an edit in no place, in two or in a wrong one: it hangs, or is worked on twice", _REPORT_IT),
    "members": Rule(
        "a queue, set or index names an edit that is missing or disagrees",
        "claims drop such names by themselves; if one stays, report it: a script of another version wrote it",
    ),
    "orphans": Rule(
        "keys of an edit without a record: memory that is never freed",
        "compare with the edit's manifest, then delete the keys by hand",
    ),
    "packed": Rule("a value that makes Redis keep the record unpacked: twice the memory", _REPORT_IT),
    "timeline": Rule("a timeline that is unreadable, out of order, or has an unnamed wait", _REPORT_IT),
    "horizon": Rule(
        "a time further away than any wait: the clock of Redis was set back, or a script is wrong",
        "set the clocks by NTP; such edits count as due and go on by themselves",
    ),
    "overdue": Rule(
        "an edit overdue by more than any lease: no worker takes it",
        "`retouch doctor` names steps without a worker; start one, or see its log",
    ),
    "in_flight": Rule(
        "more tasks are in flight than RETOUCH_QUBICO__MAX_IN_FLIGHT allows",
        "if the ceiling was just lowered, or failed edits were retried, wait until they end; else report it",
    ),
    "tasks": Rule(
        "tasks and edits do not name each other one to one: results may be mixed up, or purchases not counted",
        "stop the submit workers and report it",
    ),
    "bought_once": Rule(
        "more tasks were bought for an edit than requested",
        "stop the submit workers (`retouch worker --steps poll,store,adopt,sweep`) and report it with the timeline",
    ),
    "idempotency": Rule("an Idempotency-Key ends before its edit, or never: a repeat could buy again", _REPORT_IT),
    "counters": Rule(
        "the counters are lower than the records: Redis lost data",
        "see docs/operations.md, back up and restore, before submit workers continue",
    ),
    "manifests": Rule(
        "an ended edit without a complete manifest that agrees with it: it would not outlive Redis",
        "see `retouch doctor` for the storage; if the object was deleted outside, restore it from the bucket's backup",
    ),
    "results": Rule(
        "a succeeded edit whose picture is missing or differs",
        "restore the object from the bucket's backup; within three days the provider still has the file",
    ),
    "history.known": Rule(
        "the provider has a task with our token that no record names: it is paid for and not counted",
        "if Redis was restored, see docs/operations.md; `POST /v1/edits/ID/retry` of a failed edit uses such a task",
    ),
    "history.owner": Rule(
        "a task serves another edit than the one its token names",
        "stop the workers and report it: results are mixed up",
    ),
    "history.followed": Rule(
        "a task of ours is unfinished at the provider and not polled: it takes room that is not counted",
        "it ends by itself at the provider; report it with the edit's timeline",
    ),
}


class Violation(NamedTuple):
    """`subject`: an edit, a task, a counter, or a key and its member. `version`: of the record when it was read."""

    rule: str
    subject: tuple[str, str]
    text: str
    version: str = ""

    @property
    def key(self) -> tuple[str, tuple[str, str], str]:
        """Equal for the same violation found again. Its text may have changed."""
        return (self.rule, self.subject, self.version)


class Example(NamedTuple):
    subject: str
    said: str


@dataclass(slots=True)
class Result:
    """`checked`: number of subjects checked; `not_checked`: why some were not, if any."""

    rule: str
    checked: int = 0
    broken: int = 0
    examples: list[Example] = field(default_factory=list)
    not_checked: str = ""

    @property
    def holds(self) -> bool | None:
        """None: no violation was found, and part of the data could not be checked."""
        if self.broken:
            return False
        return None if self.not_checked else True

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "holds": self.holds,
            "checked": self.checked,
            "broken": self.broken,
            "examples": [example._asdict() for example in self.examples],
            "not_checked": self.not_checked or None,
            **RULES[self.rule]._asdict(),
        }


@dataclass(slots=True)
class Report:
    results: dict[str, Result] = field(default_factory=lambda: {name: Result(name) for name in RULES})
    figures: Counter[str] = field(default_factory=Counter)  # edits, tasks bought, submitted, repurchases

    @property
    def broken(self) -> list[Result]:
        return [result for result in self.results.values() if result.broken]

    @property
    def not_checked(self) -> list[Result]:
        return [result for result in self.results.values() if result.not_checked]

    def count(self, number: int, *rules: str) -> None:
        for rule in rules:
            self.results[rule].checked += number

    def skip(self, why: str, *rules: str) -> None:
        for rule in rules:
            self.results[rule].not_checked = self.results[rule].not_checked or why

    def add(self, violation: Violation) -> None:
        result = self.results[violation.rule]
        result.broken += 1
        if len(result.examples) < EXAMPLES:
            result.examples.append(Example(" ".join(violation.subject).strip().removeprefix("e:"), violation.text))
