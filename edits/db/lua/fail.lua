#!lua flags=allow-oom
--- @include _ends _tasks
-- Ends an edit as failed. A: id, fence, kind, message, retryable (0|1), code?, cost (state), task_status?, abandon (1:
-- its task is followed to its end). Returns ok|stale.
local e = record(A.id)
if not fenced(e) or e.st == 'queued' then return 'stale' end
local other = A.abandon ~= 1 and other_task(e)
if other then -- the edit has another paid task
  take_other(e, other, A.task_status or 'useless')
  return 'ok'
end
if A.abandon == 1 and e.ti then redis.call('ZADD', key('abandoned'), NOW, e.ti) end
finish(e, 'failed', A.kind, {
  set = {ek = A.kind, er = A.retryable, ec = A.code, cs = A.cost, ts = A.task_status}, data = {kind = A.kind},
})
redis.call('HSET', key('x', A.id), 'msg', A.message)
redis.call('HDEL', key('x', A.id), 'addr')
return 'ok'
