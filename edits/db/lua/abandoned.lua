#!lua flags=allow-oom
--- @include _claims _ends _tasks
-- Tasks that were bought and are no longer awaited: read slowly until they end. A: op = claim {k, lease, nonce} |
-- later {task, due} | settle {task, status, units? (as charged)}. Claim returns {claims: [{task, id}]}, the others ok.
if A.op == 'claim' then
  local kept = redis.call('GET', key('claim', A.nonce))
  if kept then return kept end
  local claims = {}
  for _, task in ipairs(due_in(key('abandoned'), A.k)) do
    redis.call('ZADD', key('abandoned'), NOW + A.lease, task)
    claims[#claims + 1] = {task = task, id = redis.call('GET', key('task', task)) or ''}
  end
  return remember({claims = claims})
elseif A.op == 'later' then
  redis.call('ZADD', key('abandoned'), 'XX', NOW + A.due, A.task)
else
  local e = record(redis.call('GET', key('task', A.task)) or '')
  if redis.call('ZREM', key('abandoned'), A.task) == 1 then
    room_freed()
    if e then
      local own = e.ti == A.task
      local facts = {ts = own and A.status or nil}
      local counted = own and (e.tu or e.cu) or aside(e.id, A.task)
      if A.status == 'completed' and A.units and A.units ~= counted then
        count('spent', A.units - counted)
        facts.cu = e.cu + A.units - counted
        if own then facts.tu = A.units end
        counted = A.units
      elseif A.status == 'failed' and own and e.tb == 1 then
        facts.cs = 'unknown' -- whether the provider charges it is unknown, even if the task says so
      end
      if not own then set_aside(e.id, A.task, counted, A.status) end
      ended_otherwise(e, facts)
      advance(e, {event = 'task_ended', data = {task_id = A.task, status = A.status}, set = facts})
      -- The first completed task counts, unless the edit has a result or is being submitted.
      if A.status == 'completed' and not own and (e.pl == 'poll' or e.pl == 'queue' or e.pl == 'adopt') then
        take_other(e, A.task, 'running')
      end
    end
  end
end
return 'ok'
