"""What a run on the real service learnt, under the questions that were open; facts only, no key and no address."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from qubico import prose
from tests.contract.live import Live, Purse

QUESTIONS = {
    1: "Where is the storefront, and does one host serve tasks, account and history?",
    2: "Does Kontext take a picture inside the request, how large, and in which formats?",
    3: "What are the real bounds of width, height, steps, seed and prompt, and the default size?",
    4: "Which status and body for no credit, too many tasks or requests, an unknown, a malformed, an expired id?",
    5: "Is a failed task refunded, and where does it show?",
    6: "Does the price change with steps or size?",
    7: "Which callbacks come for Kontext, how often, and is `webhook_config` echoed?",
    8: "How long can an old task be read, and does the history lag behind a create?",
    9: "Do 429 answers come with `Retry-After` or `x-ratelimit-*`?",
}


@dataclass
class Learned:
    """Written again after each fact, so that an interrupted run keeps its facts."""

    live: Live
    purse: Purse
    facts: dict[int, list[str]] = field(default_factory=lambda: {number: [] for number in QUESTIONS})
    path: Path | None = None

    def note(self, question: int, fact: str) -> None:
        shown = " ".join(prose.shown(fact.replace(self.live.key, "***")).split())
        if shown not in self.facts[question]:
            self.facts[question].append(shown)
        self.write()

    def write(self) -> None:
        self.path = self.path or _free(self.live.folder, f"learned-{datetime.now(UTC):%Y-%m-%d}")
        self.path.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        where = f"Asked of `{self.live.host}` on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC by `make test-live`; "
        if self.live.on_this_machine:
            where = f"**A stand-in on this machine, not the provider**: this shows the suite at work. {where}"
        bought = f"{self.purse.tasks} creates were sent, counted as {self.purse.spent} USD at most."
        parts = [f"# Learnt from the provider, {datetime.now(UTC):%Y-%m-%d}", where + bought]
        for number, question in QUESTIONS.items():
            facts = [f"- {fact}" for fact in self.facts[number]] or ["Not learnt in this run."]
            parts.append("\n".join([f"## {number}. {question}", "", *facts]))
        return "\n\n".join(parts) + "\n"


def _free(folder: Path, name: str) -> Path:
    """An earlier run of the same day keeps its file."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / (f"{name}.md" if number == 1 else f"{name}-{number}.md")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path
