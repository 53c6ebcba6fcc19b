"""Reads all keys of a namespace, for tests that a call changes nothing else."""

import json
from typing import Any, Final

from redis.asyncio import Redis

Dump = dict[str, Any]

_DUMP: Final = """
local read = {
  hash = function(name) return redis.call('HGETALL', name) end,
  zset = function(name) return redis.call('ZRANGE', name, 0, -1, 'WITHSCORES') end,
  string = function(name) return redis.call('GET', name) end,
  list = function(name) return redis.call('LRANGE', name, 0, -1) end,
}
local found = {}
for _, name in ipairs(redis.call('KEYS', KEYS[1] .. ':*')) do
  local short, kind = string.sub(name, #KEYS[1] + 2), redis.call('TYPE', name).ok
  if short ~= 'tick' then
    found[#found + 1] = {short, kind, redis.call('PEXPIRETIME', name), read[kind](name)}
  end
end
return #found > 0 and cjson.encode(found) or '[]'
"""
"""One JSON reply: redis-py parses a thousand small ones slowly."""


async def dump(redis: Redis, namespace: str) -> Dump:
    """Key without namespace → type, absolute expiry in ms, content. Omits the clock readings."""
    told = json.loads(await redis.eval(_DUMP, 1, namespace))  # type: ignore[misc]  # redis-py's own
    return {name: (kind, expiry, _content(kind, raw)) for name, kind, expiry, raw in told}


def _content(kind: str, raw: Any) -> Any:
    match kind:
        case "hash":
            return dict(zip(raw[0::2], raw[1::2], strict=True))
        case "zset":
            return list(zip(raw[0::2], map(float, raw[1::2]), strict=True))
        case _:
            return raw


def scores(keys: Dump, name: str) -> dict[str, float]:
    return dict(keys[name][2]) if name in keys else {}
