#!lua flags=allow-oom
-- What was bought since the mark is looked for, by one process at a time. A: op and, by op:
--   claim: process, lease (ms) - returns JSON {} (nothing to do, or somebody else does it) | {shut, mark, now, newest} (ms; id)
--   unknown: task, id - a paid task of an edit that is not here; returns new|ok
--   doubt: id, message - a task without a token asks for what this queued edit asks for: it is not bought; returns ok|stale
--   open: process, shut - all was found and taken; returns ok|stale
need('op')
local s = served()
if A.op == 'claim' then
  need('process', 'lease')
  local taken = s.holder and s.holder ~= A.process and s.held and s.held > NOW and s.held < NOW + HORIZON
  if not s.shut or not s.newest or taken then return '{}' end
  keep(s, {holder = A.process, held = NOW + A.lease})
  return cjson.encode({shut = s.shut, mark = s.mark, now = NOW, newest = s.newest})
elseif A.op == 'unknown' then
  need('task', 'id')
  redis.call('ZREMRANGEBYRANK', key('unknown'), 0, -1000)
  return redis.call('ZADD', key('unknown'), 'NX', NOW, A.task .. ' ' .. A.id) == 1 and 'new' or 'ok'
elseif A.op == 'doubt' then
  need('id', 'message')
  local e = record(A.id)
  if not s.shut or not e or e.st ~= 'queued' then return 'stale' end
  e.wt = 'restored'
  redis.call('HSET', key('x', A.id), 'msg', A.message)
  finish(e, 'failed', 'submission_unknown', {set = {ek = 'submission_unknown', er = 1, cs = 'unknown'}, data = {kind = 'submission_unknown'}})
else
  need('process', 'shut')
  if s.shut ~= A.shut or s.holder ~= A.process then return 'stale' end
  count('restored:matched')
  reopen(s)
end
return 'ok'
