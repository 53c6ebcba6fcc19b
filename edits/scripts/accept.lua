#!lua
-- Takes one edit in. A: id, tenant, livemode (0|1), priority, shift (ms by which the priority moves its arrival), input (JSON
-- text), task_steps, external_id?, units, expires_in? (ms), idem? {key, fingerprint}, and what `crowded` asks for.
-- Returns {outcome: new|same|replayed|reused, id}, or what `crowded` says. Repeatable by the id, which the caller makes.
need('id', 'tenant', 'livemode', 'priority', 'shift', 'input', 'units', 'max_queued')
if A.idem then need_in(A.idem, 'key', 'fingerprint') end
local known = A.idem and redis.call('GET', key('idem', A.tenant, A.idem.key))
if known then
  local seen = cjson.decode(known)
  local outcome = seen.id == A.id and 'same' or (seen.fp == A.idem.fingerprint and 'replayed' or 'reused')
  return cjson.encode({outcome = outcome, id = seen.id})
end
if redis.call('EXISTS', key('e', A.id)) == 1 then return cjson.encode({outcome = 'same', id = A.id}) end
local full = crowded(A.tenant)
if full then return cjson.encode(full) end

local e = {id = A.id, tn = A.tenant, at = 1, la = NOW, qa = NOW + A.shift, ex = A.expires_in and NOW + A.expires_in or nil}
move(e, 'queue') -- before its record is there: where it stops, whoever finds the id in a line takes it out
redis.call('ZADD', key('index', A.tenant), 0, A.id)
if A.external_id then redis.call('ZADD', key('ext', A.tenant, A.external_id), 0, A.id) end
advance(e, {
  status = 'queued', wait = 'fair_share', event = 'accepted',
  set = {
    tn = A.tenant, pr = A.priority, lm = A.livemode, at = 1, fe = 0, nu = 0, cr = NOW, la = NOW, qa = e.qa, tb = 0,
    cu = A.units, cs = 'reserved', sp = A.task_steps, ex = e.ex, pl = e.pl,
  },
})
redis.call('SET', key('i', A.id), A.input)
if A.idem then
  redis.call('SET', key('idem', A.tenant, A.idem.key), cjson.encode({id = A.id, fp = A.idem.fingerprint}))
  redis.call('HSET', key('x', A.id), 'idem', A.idem.key) -- it expires only once the edit has ended
end
if redis.pcall('HINCRBY', key('stats'), 'accepted', 1) == 1 then serve_first() end
return cjson.encode({outcome = 'new', id = A.id, now = NOW})
