"""What the provider's free texts mean and how much of them may be shown: it has no list of errors, words have to do."""

import re
from collections.abc import Iterable

MOST_SHOWN = 500

_ADDRESS = re.compile(r"(https?://)(?:[^\s/?#\"'<>@]*@)?([^\s/?#\"'<>]+)[^\s\"'<>]*", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+[;,][^\s\"'<>]*", re.IGNORECASE)

_MODERATION = re.compile(
    r"banned[ _-]?(?:prompt|word)|moderat|nsfw|sensitive (?:content|word|information)|content[ _-]polic|"
    r"safety (?:filter|check|system|polic)|inappropriate|prohibited content|unsafe content",
    re.IGNORECASE,
)
# Workers log that a check was passed, too.
_CLEARED = re.compile(
    r"(?:check|filter|moderation|nsfw|safety)\b.{0,20}\b(?:passed|clean|skipped|disabled|ok)\b", re.IGNORECASE
)

_MONEY = r"(?:credit|balance|fund|quota|point)s?\b"
_NO_CREDIT = re.compile(
    rf"(?:insufficient|not enough|out of|no more|lack of)(?: \w+)? {_MONEY}|"
    rf"{_MONEY}(?: is| are| has| have)?(?: been)? (?:insufficient|not enough|exhausted|too low|used up)",
    re.IGNORECASE,
)

_MODEL = re.compile(r"\bmodels?\b|\btask[ _-]?types?\b|\bplan\b", re.IGNORECASE)


def shown(text: str) -> str:
    """The text cut to a length that can be shown, with no more of an address than its host and no picture inside."""
    text = _ADDRESS.sub(r"\1\2/…", _DATA_URI.sub("data:…", text[: 8 * MOST_SHOWN]))
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def speaks_of_moderation(texts: Iterable[str]) -> bool:
    return any(_MODERATION.search(text) and not _CLEARED.search(text) for text in texts)


def speaks_of_missing_credit(texts: Iterable[str]) -> bool:
    return any(_NO_CREDIT.search(text) for text in texts)


def speaks_of_the_model(texts: Iterable[str]) -> bool:
    """Whether a refusal concerns the request (model, task type, plan level) rather than the account."""
    return any(_MODEL.search(text) for text in texts)
