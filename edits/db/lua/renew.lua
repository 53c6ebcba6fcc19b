#!lua flags=allow-oom
--- @include _time _record
-- Extends a claim by another lease. A: id, fence, step, lease (ms). Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.pl ~= A.step then return 'stale' end
redis.call('ZADD', key('due', A.step), NOW + A.lease, A.id)
redis.call('HSET', key('e', A.id), 'li', NOW + A.lease)
return 'ok'
