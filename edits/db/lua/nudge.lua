#!lua flags=allow-oom
--- @include _advance
-- A callback came: read the task now. Only a hint: changes no status and no lease. A: id, attempt, task, ended? (0: the
-- task continues, so only an unknown task matters). Returns ok|missing.
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
