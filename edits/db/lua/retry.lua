#!lua flags=allow-oom
--- @include _ends _tasks
-- Retries a failed edit with attempt + 1. It first looks for what was paid: reads its task again (`poll`), or searches for
-- a create without answer (`adopt`); `hv` lets those steps buy again if they find nothing. A: id, shifts {priority = ms}.
-- Returns ok|missing|unfinished|ended.
local e = record(A.id)
if not e then return 'missing' end
if not FINAL[e.st] then return 'unfinished' end
if e.st ~= 'failed' then return 'ended' end
local change = {
  event = 'retried', data = {attempt = e.at + 1}, set = {at = e.at + 1, fe = e.fe + 1, rt = 0, qa = NOW + A.shifts[e.pr], ar = 0},
  drop = {'en', 'ek', 'er', 'ec', 'li', 'ex'}, -- its old `expires_in` no longer counts
}
local harvest = e.ti and e.ek ~= 'provider_failed' and e.ek ~= 'moderated' and e.ek ~= 'result_invalid'
local other, fate = other_task(e)
if other and (not harvest or (fate == 'completed' and e.ts ~= 'completed')) then
  local unfinished = e.ti and redis.call('ZSCORE', key('abandoned'), e.ti)
  for name, value in pairs(go_by(e, other, unfinished and 'running' or 'useless')) do change.set[name] = value end
  e.ti = other
  change.drop[#change.drop + 1] = 'tr'
  harvest = true
end
if harvest then
  change.status, change.place, change.due, change.wait, change.set.hv = 'processing', 'poll', NOW, 'notice', 1
  change.set.ta, change.set.nl, change.set.ou = NOW, NOW, 0
  redis.call('ZREM', key('abandoned'), e.ti)
elseif e.ek == 'submission_unknown' then
  change.status, change.place, change.due, change.wait, change.set.hv = 'submitting', 'adopt', NOW, 'answer_lost', 1
  change.set.sa = e.sa or e.cr -- without a known claim (restored.lua) it may have been bought at any time
else
  change.status, change.place, change.wait, change.set.cs = 'queued', 'queue', 'fair_share', 'reserved'
  if e.ti then set_aside(A.id, e.ti, e.tu or e.cu, 'useless') end
  for _, name in ipairs({'ti', 'tu', 'ts', 'ta', 'tr', 'sa', 'nl', 'ou'}) do change.drop[#change.drop + 1] = name end
end
e.wt, e.ex = 'paused', nil
revive(e)
advance(e, change)
redis.call('HDEL', key('x', A.id), 'msg', 'addr')
return 'ok'
