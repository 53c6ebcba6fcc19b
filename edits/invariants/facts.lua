#!lua flags=no-writes
-- Reads, at one moment, all that is known of some keys and members. KEYS[1]: the prefix of our keys.
-- ARGV[1]: JSON [[key without the prefix, member or ''], ...]. Returns TIME, the two corrections of the clock, and as JSON the facts
-- of each: its edit's record and texts and, for a record itself, each place that names the edit.
local SETS = {'tenants', 'retention', 'expiring', 'due:submit', 'due:adopt', 'due:poll', 'due:store', 'due:manifest'}

local function call(command, name, ...) return redis.call(command, KEYS[1] .. name, ...) or nil end

local function score(set, member) return tonumber(call('ZSCORE', set, member)) end

local function hash(name)
  local flat, found = call('HGETALL', name), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function decoded(text)
  local ok, found = pcall(cjson.decode, text or '')
  return ok and type(found) == 'table' and found or {}
end

local function places_of(facts)
  local tenant, named, scores = facts.record.tn or '', decoded(facts.input).external_id, {}
  for _, set in ipairs(SETS) do
    scores[set:match('[^:]*$')] = score(set, set == 'tenants' and tenant or facts.id)
  end
  scores.queue, scores.index = score('q:' .. tenant, facts.id), score('index:' .. tenant, facts.id)
  if type(named) == 'string' then scores.ext = score('ext:' .. tenant .. ':' .. named, facts.id) end
  facts.scores, facts.owners, facts.abandoned, facts.timeline = scores, {}, {}, call('GET', 't:' .. facts.id)
  for task in string.gmatch((facts.record.ti or '') .. ' ' .. (facts.texts.extra or ''), '%S+') do
    facts.owners[task] = call('GET', 'task:' .. task) or ''
    facts.abandoned[task] = score('abandoned', task)
  end
  local key = facts.texts.idem and 'idem:' .. tenant .. ':' .. facts.texts.idem
  if key then facts.idempotency = {call('GET', key) or '', call('PTTL', key)} end
end

local function facts_of(place, member)
  local kind, rest = place:match('^([^:]*):?(.*)$')
  local id = member ~= '' and member or rest
  if kind == 'abandoned' then id = call('GET', 'task:' .. member) or '' end
  if kind == 'task' then id = call('GET', place) or '' end
  if kind == 'idem' then id = decoded(call('GET', place)).id or '' end
  local facts = {place = place, member = member, id = id, record = hash('e:' .. id), texts = hash('x:' .. id), input = call('GET', 'i:' .. id)}
  if member ~= '' then facts.there = score(place, member) else facts.there = call('PTTL', place) end
  if kind == 'e' then places_of(facts) end
  return facts
end

local found = {}
for i, subject in ipairs(cjson.decode(ARGV[1])) do found[i] = facts_of(subject[1], subject[2]) end
return {redis.call('TIME'), redis.call('MGET', KEYS[1] .. 'clock', KEYS[1] .. 'tick'), cjson.encode(found)}
