#!lua flags=allow-oom
--- @include _tasks
-- Repurchases a failed task after `retry` or by a setting. A: id, fence, kind (what failed), automatic (1: by setting:
-- spends one repurchase and raises the attempt), shift (ms, of its priority). Returns ok|stale.
local e = record(A.id)
if not fenced(e) or not e.ti then return 'stale' end
local other = other_task(e)
if other then -- already paid
  take_other(e, other, 'useless')
  return 'ok'
end
redis.call('HDEL', key('x', A.id), 'addr', 'sent', 'cand', 'msg')
set_aside(A.id, e.ti, e.tu or e.cu, 'useless')
local set = {fe = e.fe + 1, cs = 'reserved', qa = NOW + A.shift}
if A.automatic == 1 then
  set.at = e.at + 1
  set.ar = (e.ar or 0) + 1
end
count('rebuys')
advance(e, {
  status = 'queued', place = 'queue', wait = 'fair_share', event = 'bought_again', data = {kind = A.kind}, set = set,
  drop = {'li', 'ti', 'tu', 'ts', 'ta', 'tr', 'sa', 'rt', 'hv', 'nl', 'ou'},
})
return 'ok'
