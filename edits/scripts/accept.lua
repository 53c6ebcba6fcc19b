#!lua
-- Takes edits in, all of them in one step. A: edits [{id, tenant, livemode (0|1), priority, shift (ms by which the priority moves
-- its arrival), input (JSON text), task_steps, external_id?, units, expires_in? (ms), idem? {key, fingerprint}}], and what
-- `crowded` asks for. Returns {now, edits: for each {outcome: new|same|replayed|reused, id}, or what `crowded` says}. Those for
-- which there is room are taken, in their order. Repeatable by the ids, which the caller makes.
need('edits', 'max_queued')
for _, asked in ipairs(A.edits) do
  need_in(asked, 'id', 'tenant', 'livemode', 'priority', 'shift', 'input', 'units')
  if asked.idem then need_in(asked.idem, 'key', 'fingerprint') end
end

-- First everything is looked up; what stands further ahead in the list counts as taken.
local taken, here, meant = {}, {}, {}
local function outcome_of(asked)
  local name = asked.idem and key('idem', asked.tenant, asked.idem.key)
  local known = name and (meant[name] or redis.call('GET', name))
  if known then
    local seen = cjson.decode(known)
    local outcome = seen.id == asked.id and 'same' or (seen.fp == asked.idem.fingerprint and 'replayed' or 'reused')
    return {outcome = outcome, id = seen.id}
  end
  if here[asked.id] or redis.call('EXISTS', key('e', asked.id)) == 1 then return {outcome = 'same', id = asked.id} end
  local full = crowded(asked.tenant)
  if full then return full end
  one_more(asked.tenant)
  taken[#taken + 1], here[asked.id] = asked, true
  if name then meant[name] = cjson.encode({id = asked.id, fp = asked.idem.fingerprint}) end
  return {outcome = 'new', id = asked.id}
end
local outcomes = {}
for n, asked in ipairs(A.edits) do outcomes[n] = outcome_of(asked) end

-- First the lines that all edits share: where another program's key stops them, nothing of an edit is written, and whoever finds
-- its id in a line takes it out there.
if #taken > 0 then redis.call('INCRBY', key('queued'), #taken) end
for _, asked in ipairs(taken) do
  asked.ends = asked.expires_in and NOW + asked.expires_in or nil
  line_up({id = asked.id, tn = asked.tenant, at = 1, qa = NOW + asked.shift, ex = asked.ends})
  redis.call('ZADD', key('index', asked.tenant), 0, asked.id)
  if asked.external_id then redis.call('ZADD', key('ext', asked.tenant, asked.external_id), 0, asked.id) end
end
if #taken > 0 then wake('submit', NOW) end

-- A record begins as `advance` would leave it.
local line = cjson.encode({'accepted', NOW, '', {}}) .. '\n'
for _, asked in ipairs(taken) do
  local id = asked.id
  local fields = {
    'fm', FORMAT, 'st', 'queued', 'pl', 'queue', 'wt', 'fair_share', 'ws', NOW, 'tn', asked.tenant, 'pr', asked.priority,
    'lm', asked.livemode, 'at', 1, 'fe', 0, 'nu', 0, 'cr', NOW, 'up', NOW, 'la', NOW, 'qa', NOW + asked.shift, 'tb', 0,
    'cu', asked.units, 'cs', 'reserved', 'sp', asked.task_steps or 28,
  }
  if asked.ends then fields[#fields + 1], fields[#fields + 2] = 'ex', asked.ends end
  redis.call('SET', key('t', id), line)
  redis.call('HSET', key('e', id), unpack(fields))
  redis.call('SET', key('i', id), asked.input)
  if asked.idem then
    local name = key('idem', asked.tenant, asked.idem.key)
    redis.call('SET', name, meant[name])
    redis.call('HSET', key('x', id), 'idem', asked.idem.key) -- it expires only once the edit has ended
  end
end
if #taken > 0 and redis.pcall('HINCRBY', key('stats'), 'accepted', #taken) == #taken then serve_first() end
return cjson.encode({now = NOW, edits = outcomes})
