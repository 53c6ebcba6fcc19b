#!lua flags=allow-oom
--- @include _pauses
-- The provider has finished: stores the address of the result before the copy. A: id, fence, address, started?, ended?
-- (ms), units?, took? {wait, run} (ms of the task, from which the pace of reads is learned). Returns ok|stale.
local LATE = 1000 -- ms; a read later than that was delayed by an outage or by this system
local TOOK_KEPT = 512
local e = record(A.id)
if not fenced(e) or e.pl ~= 'poll' then return 'stale' end
local read = e.nl and NOW - e.nl > LATE and circuit('read') or nil
if A.started and not e.tr then
  advance(e, {event = 'started', at = A.started, wait = 'provider_run', set = {tr = A.started}})
end
if A.ended then
  advance(e, {event = 'completed', at = A.ended, wait = 'notice'})
  observe('notice_lag', math.max(0, NOW - e.la))
end
if read then tell_pauses(e, read) end
if A.took then
  local seen = key('took', e.sp)
  redis.call('LPUSH', seen, string.format('%d,%d,%d', A.took.wait, A.took.run, e.nu > 0 and 1 or 0))
  redis.call('LTRIM', seen, 0, TOOK_KEPT - 1)
end
local counted = e.tu or e.cu
local more = (A.units or counted) - counted
if more ~= 0 then count('spent', more) end
redis.call('HSET', key('x', A.id), 'addr', A.address)
advance(e, {
  status = 'storing', place = 'store', due = NOW, wait = 'copy', event = 'storing',
  set = {ts = 'completed', rt = 0, fe = e.fe + 1, cu = e.cu + more, tu = counted + more}, drop = {'li', 'nl', 'ou'},
})
return 'ok'
