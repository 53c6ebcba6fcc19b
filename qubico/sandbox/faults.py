"""Faults on order: words in a prompt, the next creates, or a share of all creates.

A fault word is `[fault:name]` or `[fault:name=3]`; an unknown name is refused, so that no test passes by a typo.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal

from starlette.responses import Response

from qubico.sandbox.connection import Dropped, Hanging
from qubico.sandbox.wire import BadRequest, bad_key, error, html, throttled

Stage = Literal["refuse", "answer", "run", "read", "output", "file", "callback"]
WORD = re.compile(r"\[fault:([^\]=]*)(?:=([^\]]*))?\]")
NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
ALWAYS = math.inf


@dataclass(frozen=True, slots=True)
class Fault:
    """`=` gives a number of times, unless the meaning says otherwise."""

    stage: Stage
    default: float
    meaning: str
    answer: Callable[[], Response] | None = None  # given instead of the usual one


BAD_IMAGE = "invalid input image"
NO_CREDIT = "insufficient credits"
TABLE: dict[str, Fault] = {
    # not accepted, nothing bought
    "rejected": Fault("refuse", ALWAYS, "400, the provider's text for a bad input", partial(error, 400, BAD_IMAGE)),
    "throttled": Fault("refuse", 1, "429 with `Retry-After`", throttled),
    "no_credit": Fault("refuse", ALWAYS, "402 `insufficient credits`", partial(error, 402, NO_CREDIT)),
    "no_credit_400": Fault("refuse", ALWAYS, "the same text under 400", partial(error, 400, NO_CREDIT)),
    "no_credit_500": Fault("refuse", ALWAYS, "the same text under 500", partial(error, 500, NO_CREDIT)),
    "bad_key": Fault("refuse", ALWAYS, "401 `failed to verify api key`", bad_key),
    "refuse_503": Fault("refuse", 1, "503 with an HTML page", partial(html, 503)),
    "drop_before": Fault("refuse", 1, "the connection is reset and no task was made", Dropped),
    # accepted and bought, but the answer is lost or odd
    "drop": Fault("answer", 1, "the connection is reset without an answer", Dropped),
    "hang": Fault("answer", 1, "no answer until the caller gives up", Hanging),
    "html_502": Fault("answer", 1, "502 with an HTML page", partial(html, 502)),
    "failed_create": Fault("answer", ALWAYS, "the create's own answer already says `failed`"),
    "failed_create_500": Fault("answer", ALWAYS, "the same under HTTP 500"),
    # the run
    "failed": Fault("run", ALWAYS, "the task fails; the cause is only in `logs`"),
    "failed_500": Fault("run", ALWAYS, "the task fails, and reads of it are HTTP 500 with the task inside"),
    "moderated": Fault("run", ALWAYS, "the task fails with `Banned Prompt` in `raw_message`"),
    "slow": Fault("run", 5, "runs so many times longer"),
    "stuck": Fault("run", ALWAYS, "never ends"),
    "staged": Fault("run", 1, "`staged` first, for so many median runs"),
    # reading the task
    "not_visible_once": Fault("read", 1, "reads answer 404 at first", partial(error, 404, "Task ID not found")),
    "get_500_once": Fault(
        "read", 1, "reads answer 500 without a task at first", partial(error, 500, "internal server error")
    ),
    "get_429_once": Fault("read", 1, "reads answer 429 at first", throttled),
    "odd": Fault("read", ALWAYS, "capitalised statuses, times at +08:00, `logs` null"),
    "odd_code": Fault("read", ALWAYS, "envelope code 0, and error code 1100 without an error"),
    # the output of a completed task
    "no_address": Fault("output", ALWAYS, "completed without an address"),
    "no_address_once": Fault("output", 1, "the first completed answers have no address"),
    "base64": Fault("output", ALWAYS, "the picture in `image_base64`, no address"),
    "jpg": Fault("output", ALWAYS, "the result is a JPEG"),
    "webp": Fault("output", ALWAYS, "the result is a WebP"),
    # the result file
    "truncated": Fault("file", ALWAYS, "a complete answer with a cut picture in it"),
    "cut": Fault("file", 1, "the connection ends in the middle of the file"),
    "wrong_type": Fault("file", ALWAYS, "GIF bytes called image/png"),
    "wrong_type_html": Fault("file", ALWAYS, "200 with an HTML page", partial(html, 200)),
    "huge": Fault("file", 24, "so many MiB, streamed without a length"),
    "gone": Fault("file", ALWAYS, "404", partial(html, 404)),
    "file_503": Fault("file", 1, "503 at first", partial(html, 503)),
    "redirect": Fault("file", ALWAYS, "302 to another host"),
    # callbacks
    "callback_lost": Fault("callback", ALWAYS, "none is sent"),
    "callback_double": Fault("callback", ALWAYS, "each is sent twice"),
    "callback_early": Fault("callback", ALWAYS, "one more, saying `completed`, comes before the create is answered"),
}


def in_prompt(prompt: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, count in WORD.findall(prompt):
        if name not in TABLE:
            raise BadRequest(f"sandbox: unknown fault {name!r}")
        if count and not NUMBER.fullmatch(count):
            raise BadRequest(f"sandbox: fault {name!r} takes a number, not {count!r}")
        found[name] = float(count) if count else TABLE[name].default
    return found


def without_words(prompt: str) -> str:
    return " ".join(WORD.sub(" ", prompt).split())


class FaultBook:
    """The faults of the next create. Refusals and lost answers count by prompt and seed, so repeats succeed."""

    def __init__(self) -> None:
        self.random = Random()  # noqa: S311 - seeded by an option
        self.coming: Counter[str] = Counter()
        self._used: Counter[tuple[str, str, int]] = Counter()

    def draw(self, prompt: str, *, seed: int, rates: dict[str, float]) -> dict[str, float]:
        """A refusal comes first; the words beside it apply to the next attempt."""
        words = sorted(in_prompt(prompt).items(), key=lambda word: TABLE[word[0]].stage != "refuse")
        ordered = [name for name, left in self.coming.items() if left > 0]
        self.coming.subtract(ordered)
        by_chance = [name for name, share in rates.items() if self.random.random() < share]
        drawn = {name: TABLE[name].default for name in (*ordered, *by_chance)}
        for name, count in words:
            stage = TABLE[name].stage
            if stage in ("refuse", "answer"):
                if self._used[name, prompt, seed] >= count:
                    continue
                self._used[name, prompt, seed] += 1
            drawn[name] = count
            if stage == "refuse":
                break
        return drawn
