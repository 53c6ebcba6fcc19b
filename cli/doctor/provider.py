"""Checks of the provider's account: key, balance and limits. The key is never shown."""

from decimal import Decimal

from cli.doctor.results import ANSWER_WITHIN, Result, fail, ok, warn
from config.settings import Settings
from edits.models import PRICE_UNITS, UNITS_PER_USD
from qubico.client import QubicoClient
from qubico.errors import AccountBlocked, QubicoError

FEW_EDITS = 100  # a balance for fewer is worth a warning
PRICE = Decimal(PRICE_UNITS) / UNITS_PER_USD


async def provider(settings: Settings) -> list[Result]:
    base_url, key = settings.qubico.base_url, settings.qubico.api_key
    if base_url is None or key is None:
        return []
    client = QubicoClient(base_url=base_url, api_key=key.get_secret_value(), read_timeout=ANSWER_WITHIN)
    try:
        async with client:
            account = await client.account()
    except AccountBlocked as exc:
        do = "check the key (RETOUCH_QUBICO__API_KEY), the balance and the plan; edits wait and nothing is bought"
        return [fail("provider", f"{base_url} refuses the account: {exc}", do)]
    except QubicoError as exc:
        return [fail("provider", f"{base_url}: {exc}", "check RETOUCH_QUBICO__BASE_URL and the network; edits wait")]
    if account.is_enabled is False:
        return [fail("provider", f"{base_url}: the account is disabled", "ask the provider to enable it")]
    kind = "" if settings.livemode else " (sandbox: nothing is bought)"
    results = [ok("provider", f"{base_url} accepts the key{f', plan {account.plan}' if account.plan else ''}{kind}")]
    if account.balance_usd is not None:
        results.append(_balance(account.balance_usd))
    if account.max_concurrent is not None:
        results.append(_concurrency(settings, account.max_concurrent))
    return results


def _balance(usd: Decimal) -> Result:
    edits = int(usd / PRICE)
    said = f"${usd:,.2f} of credit, about {edits:,} edits at ${PRICE}"
    if edits < 1:
        return fail("provider.balance", said, "buy credit at the provider; edits wait until then")
    return warn("provider.balance", said, "buy credit soon") if edits < FEW_EDITS else ok("provider.balance", said)


def _concurrency(settings: Settings, allowed: int) -> Result:
    ours = settings.qubico.max_in_flight
    said = f"the provider runs up to {allowed} tasks at once, RETOUCH_QUBICO__MAX_IN_FLIGHT is {ours}"
    if ours > allowed:
        return warn("provider.limits", said, f"set RETOUCH_QUBICO__MAX_IN_FLIGHT={allowed}, or the provider throttles")
    return ok("provider.limits", said)
