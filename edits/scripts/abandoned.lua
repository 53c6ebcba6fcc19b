#!lua flags=allow-oom
-- Tasks that we bought and no longer wait for: read slowly until they end. A: op = claim {k, lease, nonce} | later {task, due} |
-- settle {task, units?, status}. Claim returns {claims: [{task, id}]}, the others ok.
if A.op == 'claim' then
  local kept = redis.call('GET', key('claim', A.nonce))
  if kept then return kept end
  local claims = {}
  for _, task in ipairs(redis.call('ZRANGEBYSCORE', key('abandoned'), '-inf', NOW, 'LIMIT', 0, A.k)) do
    redis.call('ZADD', key('abandoned'), NOW + A.lease, task)
    claims[#claims + 1] = {task = task, id = redis.call('GET', key('task', task)) or ''}
  end
  return remember({claims = claims})
elseif A.op == 'later' then
  redis.call('ZADD', key('abandoned'), 'XX', NOW + A.due, A.task)
else
  if redis.call('ZREM', key('abandoned'), A.task) == 1 then
    local e = record(redis.call('GET', key('task', A.task)) or '')
    if e then
      advance(e, {event = 'task_ended', data = {task_id = A.task, status = A.status}, set = e.ti == A.task and {ts = A.status} or nil})
    end
  end
end
return 'ok'
