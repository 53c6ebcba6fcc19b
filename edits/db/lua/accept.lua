#!lua
--- @include _record _room _numbers
-- Accepts edits. A: alike [{tenant, livemode (0|1), priority, shift (ms from arrival to queue time), task_steps, units,
-- expires_in? (ms)}]: what edits share; edits [{id, like (index in `alike`), input (JSON), external_id?,
-- idem? {key, fingerprint}}]; and the arguments of `crowded`. Returns {now, edits: for each {outcome: new},
-- {outcome: same|replayed|reused, id} or the answer of `crowded`}. In their order, while there is room. Repeatable by id.
local names = {}
for n, asked in ipairs(A.edits) do
  asked.shared = A.alike[asked.like]
  names[n] = key('e', asked.id)
end

-- Reads before it writes; edits earlier in the list count as accepted.
local NEW = {outcome = 'new'}
local some_are_here = names[1] and redis.call('EXISTS', unpack(names)) > 0
local taken, here, meant = {}, {}, {}
local function outcome_of(asked, name)
  local tenant, idem = asked.shared.tenant, asked.idem
  local idempotency = idem and key('idem', tenant, idem.key)
  local known = idempotency and (meant[idempotency] or redis.call('GET', idempotency))
  if known then
    local seen = cjson.decode(known)
    local outcome = seen.id == asked.id and 'same' or (seen.fp == idem.fingerprint and 'replayed' or 'reused')
    return {outcome = outcome, id = seen.id}
  end
  if here[asked.id] or (some_are_here and redis.call('EXISTS', name) == 1) then return {outcome = 'same', id = asked.id} end
  local full = crowded(tenant)
  if full then return full end
  one_more(tenant)
  taken[#taken + 1], here[asked.id] = asked, true
  if idempotency then meant[idempotency] = cjson.encode({id = asked.id, fp = idem.fingerprint}) end
  return NEW
end
local outcomes = {}
for n, asked in ipairs(A.edits) do outcomes[n] = outcome_of(asked, names[n]) end

local lines = {}
for _, asked in ipairs(taken) do
  local tenant = asked.shared.tenant
  local line = lines[tenant] or {}
  lines[tenant], line[#line + 1] = line, asked
end
local told = cjson.encode({'accepted', NOW, '', {}}) .. '\n'
local texts, n = {}, 0
if #taken > 0 then wake('submit', NOW) end
for tenant, line in pairs(lines) do
  local index = {}
  for place, asked in ipairs(line) do
    local shared, id = asked.shared, asked.id
    asked.at, asked.qa, asked.ex = 1, NOW + shared.shift, shared.expires_in and NOW + shared.expires_in or nil
    index[2 * place - 1], index[2 * place] = 0, id
    texts[n + 1], texts[n + 2], texts[n + 3], texts[n + 4], n = key('t', id), told, key('i', id), asked.input, n + 4
    if asked.external_id then redis.call('ZADD', key('ext', tenant, asked.external_id), 0, id) end
  end
  redis.call('INCRBY', key('queued'), #line)
  line_up(tenant, line)
  redis.call('ZADD', key('index', tenant), unpack(index))
end
if n > 0 then redis.call('MSET', unpack(texts)) end

-- A record as `advance` would leave it; those of similar edits are copies of the first.
local function write_first(name, asked)
  local shared = asked.shared
  local fields = {
    'fm', FORMAT, 'st', 'queued', 'pl', 'queue', 'wt', 'fair_share', 'ws', NOW, 'tn', shared.tenant, 'pr', shared.priority,
    'lm', shared.livemode, 'at', 1, 'fe', 0, 'nu', 0, 'cr', NOW, 'up', NOW, 'la', NOW, 'qa', asked.qa, 'tb', 0,
    'cu', shared.units, 'cs', 'reserved', 'sp', shared.task_steps,
  }
  if asked.ex then fields[#fields + 1], fields[#fields + 2] = 'ex', asked.ex end
  redis.call('HSET', name, unpack(fields))
  shared.first = name
end
for _, asked in ipairs(taken) do
  local name, shared, idem = key('e', asked.id), asked.shared, asked.idem
  if shared.first then redis.call('COPY', shared.first, name) else write_first(name, asked) end
  if idem then
    local idempotency = key('idem', shared.tenant, idem.key)
    redis.call('SET', idempotency, meant[idempotency])
    redis.call('HSET', key('x', asked.id), 'idem', idem.key) -- without expiry until the edit ends
  end
end
if #taken > 0 and redis.call('HINCRBY', key('stats'), 'accepted', #taken) == #taken then serve_first() end
return cjson.encode({now = NOW, edits = outcomes})
