"""Checks that need a watch from the start: legal changes of status, and counters equal to all edits ever."""

import json
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from edits.models import EditStatus
from tests.statuses import may_follow

_STATE: Final = """
local function each(kind, read)
  local found = {}
  for _, name in ipairs(redis.call('KEYS', KEYS[1] .. ':' .. kind .. ':*')) do
    found[string.sub(name, #KEYS[1] + #kind + 3)] = read(name)
  end
  return found
end
local queued = 0
each('q', function(name) queued = queued + redis.call('ZCARD', name) end)
return cjson.encode({
  edits = each('e', function(name) return redis.call('HGET', name, 'st') end),
  tasks = each('task', function() return true end),
  queued = {queued, tonumber(redis.call('GET', KEYS[1] .. ':queued') or 0)},
  accepted = tonumber(redis.call('HGET', KEYS[1] .. ':stats', 'accepted') or 0),
  bought = tonumber(redis.call('HGET', KEYS[1] .. ':stats', 'bought') or 0),
})
"""


@dataclass
class Watch:
    statuses: dict[str, str] = field(default_factory=dict)
    """The last status of each edit ever seen."""
    tasks: set[str] = field(default_factory=set)
    """All tasks ever seen."""

    async def look(self, redis: Redis, namespace: str) -> None:
        state = json.loads(await redis.eval(_STATE, 1, namespace))  # type: ignore[misc]  # redis-py's own
        for edit_id, status in state["edits"].items():
            before = self.statuses.get(edit_id)
            legal = may_follow(EditStatus(before), EditStatus(status)) if before else status == "queued"
            assert legal, f"{edit_id}: {before} -> {status}"
        for edit_id in self.statuses.keys() - state["edits"].keys():
            assert EditStatus(self.statuses[edit_id]).is_final, f"{edit_id} left as {self.statuses[edit_id]}"
        self.statuses |= state["edits"]
        self.tasks |= state["tasks"].keys()
        assert state["accepted"] == len(self.statuses), "the counter of edits accepted"
        assert state["bought"] == len(self.tasks), "the counter of tasks bought"
        assert state["queued"][0] == state["queued"][1], "the number of edits in all queues"
