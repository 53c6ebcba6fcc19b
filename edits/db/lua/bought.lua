#!lua flags=allow-oom
--- @include _ends _tasks
-- Records a fact: the provider has `task` for `attempt` of an edit, whatever its fence or status. A: id, attempt, task,
-- units, status (provider's), due (ms until the first read), how (answer|callback|history|input). An edit without
-- a task takes a task of any of its attempts. A task of a later attempt than the record's was bought before Redis lost
-- writes: the edit continues with that task. Returns taken_over (continues with it), same, late (edit had ended), extra (it
-- has another task), other (task of another edit), missing. Repeatable by task.
local e = record(A.id)
if not e then return 'missing' end
local owner = redis.call('GET', key('task', A.task))
if owner then return owner == A.id and 'same' or 'other' end

local ahead = A.attempt > e.at and e.st ~= 'succeeded' and e.st ~= 'canceled'
if ahead then revive(e) end
-- Last, or a repeated call would find the task known and the edit without it.
local function taken_in(answer)
  redis.call('SET', key('task', A.task), A.id)
  count('bought')
  count('spent', A.units)
  return answer
end
local facts = {tb = e.tb + 1, cs = 'charged', cu = A.units + (e.tb > 0 and e.cu or 0)} -- until the first purchase `cu` is an estimate
if ahead then
  if e.ti then
    set_aside(A.id, e.ti, e.tu or e.cu, 'running')
    redis.call('ZADD', key('abandoned'), NOW, e.ti)
  end
  redis.call('HDEL', key('x', A.id), 'addr', 'msg')
  facts.at, e.wt = A.attempt, e.wt or 'restored'
elseif e.ti or FINAL[e.st] or (A.attempt ~= e.at and e.pl ~= 'adopt') then
  redis.call('ZADD', key('abandoned'), NOW, A.task)
  if not e.ti and FINAL[e.st] then
    facts.ti, facts.tu = A.task, A.units
  else
    set_aside(A.id, A.task, A.units, 'running')
  end
  ended_otherwise(e, facts)
  advance(e, {event = 'extra_task', data = {task_id = A.task, how = A.how}, set = facts})
  return taken_in(e.ti == A.task and 'late' or 'extra')
end
local candidate = redis.call('HGET', key('x', A.id), 'cand')
local called_back = candidate == A.task -- before the answer to its create
facts.ti, facts.tu, facts.ts, facts.ta, facts.fe, facts.rt = A.task, A.units, A.status, NOW, e.fe + 1, 0
facts.nl = NOW + A.due
advance(e, {
  status = 'processing', place = 'poll', due = NOW + (called_back and 0 or A.due), wait = 'provider_queue', event = 'submitted',
  data = {task_id = A.task, how = A.how}, set = facts,
  drop = ahead and {'li', 'tr', 'hv', 'en', 'ek', 'er', 'ec', 'ex', 'ou'} or {'li'},
})
if candidate then redis.call('HDEL', key('x', A.id), 'cand') end
return taken_in('taken_over')
