"""Every switch of the sandbox: read once from `SANDBOX_*`, and changed while it runs by `PATCH /sandbox/options`."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from qubico.sandbox.faults import TABLE
from qubico.sandbox.wire import BadRequest


def _known(name: str) -> str:
    if name not in TABLE:
        raise ValueError(f"unknown fault {name!r}; the README of this package lists them")
    return name


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Operation = Literal["create", "read", "history", "account", "download"]
FaultName = Annotated[str, AfterValidator(_known)]
JSON = BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value)


class SandboxOptions(BaseModel):
    """Durations are plain seconds; a limit of 0 is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: str = Field("sandbox-key", min_length=1)  # the key, or several of one account by comma
    public_url: str | None = None  # base of result addresses; unset: the Host the create came to
    seed: int = 0  # seeds latencies and fault rates

    latency: Amount = 3.0  # median run of a task
    latency_sigma: Annotated[float, Field(ge=0, le=3)] = 0.25  # spread of runs and waits (lognormal)
    wait: Amount = 0.3  # median wait as `pending` before the run

    creates_per_second: Amount = 0  # creates beyond this are answered 429 before they are read
    reads_per_second: Amount = 0  # reads beyond this are answered 429
    burst: Amount = 1.0  # how many seconds of requests both rate limits let through at once
    retry_after: Count = 1  # `Retry-After` of 429 answers; 0: no such header
    max_concurrent: Count = 0  # tasks pending or processing at once; creates beyond this are answered 429

    history_lag: Amount = 0.5  # a task appears in the history so long after its create
    history_page: Annotated[int, Field(ge=1, le=100)] = 100  # rows of a history page, at most
    result_lifetime: Amount = 259_200  # result files are gone so long after the end (3 days)
    echo: Literal["whole", "blank", "strip"] = "whole"  # how `config` comes back in answers

    balance_usd: float = Field(10_000, allow_inf_nan=False)  # credit; setting it while running refills it

    callback_processing: bool = True  # callbacks also say `processing`, not only the end
    callback_attempts: Annotated[int, Field(ge=1)] = 3  # tries of one callback
    callback_interval: Amount = 5.0  # pause between them

    price: Annotated[int, Field(gt=0)] = 200_000  # units of a task; 10,000,000 are a dollar
    usage: Literal["2025", "2026"] = "2026"  # where a running task has its price: `consume`, or `frozen` (2026)
    paint: Literal["full", "small", "plain"] = "full"  # real size; 64x64; or noise, nothing loaded
    max_body_bytes: Annotated[int, Field(gt=0)] = 16_777_216  # creates beyond: `task input too large`

    outage: Literal["none", "refuse_503", "drop", "hang"] = "none"  # the API is away, in one way
    outage_of: Annotated[list[Operation], JSON] = []  # what it takes away; empty: all of the API, but not the files
    next_faults: Annotated[dict[FaultName, Count], JSON] = {}  # how many of the next creates get the fault
    fault_rates: Annotated[dict[FaultName, Share], JSON] = {}  # share of creates that get the fault
    data_dir: str | None = None  # folder where accepted tasks survive a restart


def from_environment(environment: Mapping[str, str]) -> SandboxOptions:
    """Reads `SANDBOX_LATENCY` and so on; lists and tables are JSON. Other names are ignored.

    Raises:
        BadRequest: all invalid options in one text, a line each.

    """
    names = {field: f"SANDBOX_{field.upper()}" for field in SandboxOptions.model_fields}
    return _checked({field: environment[name] for field, name in names.items() if environment.get(name)}, names)


def changed(options: SandboxOptions, patch: Mapping[str, Any]) -> SandboxOptions:
    if "data_dir" in patch:
        raise BadRequest("data_dir: can only be set at the start")
    return _checked({**options.model_dump(), **patch}, {})


def _checked(given: dict[str, Any], names: Mapping[str, str]) -> SandboxOptions:
    try:
        return SandboxOptions.model_validate(given)
    except ValidationError as exc:
        faulty = [f"{names.get(field := str(fault['loc'][0]), field)}: {fault['msg']}" for fault in exc.errors()]
        raise BadRequest("\n".join(faulty)) from exc
