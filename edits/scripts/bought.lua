#!lua flags=allow-oom
-- A fact: the provider has task `task` for attempt `attempt` of an edit, whatever the fence or status says. A: id, attempt, task,
-- units, status (the provider's), due (ms until the first read), how (answer|callback|history).
-- Returns taken_over (the edit goes on with it), same, late (the edit had ended), extra (it has another task), other (the task
-- serves another edit), missing. Repeatable by the task's id.
local e = record(A.id)
if not e then return 'missing' end
local owner = redis.call('GET', key('task', A.task))
if owner then return owner == A.id and 'same' or 'other' end

redis.call('SET', key('task', A.task), A.id)
count('bought')
count('spent', A.units)
local facts = {tb = e.tb + 1, cs = 'charged'}
if e.ti or A.attempt ~= e.at or FINAL[e.st] then
  redis.call('ZADD', key('abandoned'), NOW, A.task)
  redis.call('HSET', key('x', A.id), 'extra', (redis.call('HGET', key('x', A.id), 'extra') or '') .. A.task .. ' ')
  if not e.ti and FINAL[e.st] then facts.ti = A.task end
  advance(e, {event = 'extra_task', data = {task_id = A.task, how = A.how}, set = facts})
  return e.ti == A.task and 'late' or 'extra'
end
facts.ti, facts.ts, facts.ta, facts.cu, facts.fe, facts.rt = A.task, A.status, NOW, A.units, e.fe + 1, 0
advance(e, {
  status = 'processing', place = 'poll', due = NOW + A.due, wait = 'provider_queue', event = 'submitted',
  data = {task_id = A.task, how = A.how}, set = facts,
})
return 'taken_over'
