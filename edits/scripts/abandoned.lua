#!lua flags=allow-oom
-- Tasks that we bought and no longer wait for: read slowly until they end. A: op = claim {k, lease, nonce} | later {task, due} |
-- settle {task, status}. Claim returns {claims: [{task, id}]}, the others ok.
if A.op == 'claim' then
  need('nonce', 'k', 'lease')
  local kept = redis.call('GET', key('claim', A.nonce))
  if kept then return kept end
  local claims = {}
  for _, task in ipairs(due_in(key('abandoned'), A.k)) do
    redis.call('ZADD', key('abandoned'), NOW + A.lease, task)
    claims[#claims + 1] = {task = task, id = redis.call('GET', key('task', task)) or ''}
  end
  return remember({claims = claims})
elseif A.op == 'later' then
  need('task', 'due')
  redis.call('ZADD', key('abandoned'), 'XX', NOW + A.due, A.task)
else
  need('task', 'status')
  if redis.call('ZREM', key('abandoned'), A.task) == 1 then
    room_freed()
    local e = record(redis.call('GET', key('task', A.task)) or '')
    if e then
      local facts = {ts = e.ti == A.task and A.status or nil}
      ended_otherwise(e, facts)
      advance(e, {event = 'task_ended', data = {task_id = A.task, status = A.status}, set = facts})
    end
  end
end
return 'ok'
