#!lua flags=allow-oom
--- @include _ends _served
-- The search for purchases since the mark of a data-loss check, by one process at a time. A: op and, by op:
--   claim: process, lease (ms) - returns JSON {} (nothing to do) | {shut, mark, settled, now, newest}
--   unknown: task, id - a paid task of an edit that is not stored; returns new|ok
--   give_up: id, message - a task without a token may belong to this queued edit: it is not bought; returns ok|stale
--   settle: process, shut, upto (ms) - all earlier purchases are found and taken; returns ok|stale
--   open: process, shut, idle? (1: only if no stored edit may be bought or bought again); returns ok|stale
local s = served()

local function may_be_bought()
  local lines = {key('due', 'submit'), key('due', 'adopt'), key('due', 'poll'), key('due', 'store')}
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants'), 0, -1)) do lines[#lines + 1] = key('q', tenant) end
  for _, line in ipairs(lines) do
    for _, id in ipairs(redis.call('ZRANGE', line, 0, -1)) do
      if not s.newest or id <= s.newest then return true end
    end
  end
  return false
end

if A.op == 'claim' then
  local taken = s.holder and s.holder ~= A.process and s.held and ahead(s.held)
  if not s.shut or not s.newest or taken then return '{}' end
  doubted(s, {holder = A.process, held = NOW + A.lease})
  return cjson.encode({shut = s.shut, mark = s.mark, settled = s.settled, now = NOW, newest = s.newest})
elseif A.op == 'unknown' then
  redis.call('ZREMRANGEBYRANK', key('unknown'), 0, -1000)
  return redis.call('ZADD', key('unknown'), 'NX', NOW, A.task .. ' ' .. A.id) == 1 and 'new' or 'ok'
elseif A.op == 'give_up' then
  local e = record(A.id)
  if not s.shut or not e or e.st ~= 'queued' then return 'stale' end
  e.wt = 'restored'
  redis.call('HSET', key('x', A.id), 'msg', A.message)
  finish(e, 'failed', 'submission_unknown', {set = {ek = 'submission_unknown', er = 1, cs = 'unknown'}, data = {kind = 'submission_unknown'}})
  return 'ok'
end
if s.shut ~= A.shut or s.holder ~= A.process then return 'stale' end
if A.op == 'settle' then
  doubted(s, {settled = math.max(s.settled, A.upto)})
elseif A.idle == 1 and may_be_bought() then
  return 'stale'
else
  count('restored:matched')
  reopen(s)
end
return 'ok'
