"""Options, fault words and the README's tables agree."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from qubico.sandbox import faults
from qubico.sandbox.options import SandboxOptions, from_environment
from qubico.sandbox.wire import BadRequest

README = Path("qubico/README.md").read_text("utf-8")


def test_every_option_can_be_set_from_the_environment() -> None:
    options = from_environment(
        {
            "SANDBOX_LATENCY": "1.5",
            "SANDBOX_MAX_CONCURRENT": "7",
            "SANDBOX_CALLBACK_PROCESSING": "false",
            "SANDBOX_ECHO": "strip",
            "SANDBOX_FAULT_RATES": '{"drop": 0.5}',
            "SANDBOX_OUTAGE_OF": '["read"]',
            "SANDBOX_PUBLIC_URL": "",
            "SANDBOX_OF_SOMEBODY_ELSE": "x",
        }
    )
    changed = {
        "latency": 1.5,
        "max_concurrent": 7,
        "callback_processing": False,
        "echo": "strip",
        "fault_rates": {"drop": 0.5},
        "outage_of": ["read"],
    }
    assert options == SandboxOptions.model_validate(changed)


def test_all_bad_settings_are_named_in_one_message() -> None:
    with pytest.raises(BadRequest) as caught:
        from_environment({"SANDBOX_LATENCY": "soon", "SANDBOX_ECHO": "loud", "SANDBOX_FAULT_RATES": "{"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "SANDBOX_LATENCY",
        "SANDBOX_ECHO",
        "SANDBOX_FAULT_RATES",
    ]


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_share_is_between_none_and_all(rate: float) -> None:
    with pytest.raises(ValidationError):
        SandboxOptions(fault_rates={"drop": rate})


def test_the_readme_lists_every_option_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `SANDBOX_(\w+)` \| ([^|]*) \|", README, re.MULTILINE))
    defaults = {
        name.upper(): f"`{default}`"
        if (default := field.get_default(call_default_factory=True)) is not None
        else "unset"
        for name, field in SandboxOptions.model_fields.items()
    }
    assert listed == defaults


def test_the_readme_lists_every_fault_with_its_default_and_meaning() -> None:
    listed = re.findall(r"^\| `\[fault:(\w+)\]` \| ([^|]*) \| ([^|]*) \|", README, re.MULTILINE)
    assert listed == [
        (name, "always" if fault.default == faults.ALWAYS else f"{fault.default:g}", fault.meaning)
        for name, fault in faults.TABLE.items()
    ]


def test_fault_words_are_found_anywhere_in_a_prompt() -> None:
    prompt = "[fault:slow=2.5] make it [fault:drop]snow"
    assert faults.in_prompt(prompt) == {"slow": 2.5, "drop": 1}
    assert faults.without_words(prompt) == "make it snow"
    assert faults.in_prompt("no fault here, [sic]") == {}


@pytest.mark.parametrize(
    "word", ["[fault:fial]", "[fault:]", "[fault: drop]", "[fault:Drop]", "[fault:slow=x]", "[fault:drop=-1]"]
)
def test_a_misspelt_fault_word_is_an_error(word: str) -> None:
    with pytest.raises(BadRequest):
        faults.in_prompt(word)
