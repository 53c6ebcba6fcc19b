#!lua flags=allow-oom
--- @include _advance
-- A callback came: look now. It is only a hint, so it changes no status and touches no lease. A: id, attempt, task, ended? (0: the
-- task goes on, it says; then there is nothing to look at unless the task is new to us). Returns ok|missing.
local e = record(A.id)
if not e then return 'missing' end
if FINAL[e.st] or (e.ti and A.ended == 0) then return 'ok' end
if not e.ti then redis.call('HSET', key('x', A.id), 'cand', A.task) end
advance(e, {set = {nu = e.nu + 1}})
if (e.pl == 'poll' or e.pl == 'adopt') and (e.li or 0) <= NOW then
  redis.call('ZADD', key('due', e.pl), NOW, A.id)
  wake(e.pl, NOW)
end
return 'ok'
