#!lua flags=allow-oom
--- @include _claims _ends _limits _pauses _served
-- Claims edits to submit, in fair order, each with a token. A: nonce, k (free permits), lease, lookahead (ms), rate
-- (creates a second), max_in_flight, chain, idle (ms the chain may sleep), told? (see serve).
-- Returns {claims: [{id, slot (ms from now), e (flat hash), input}], next (ms from now; after a claim 0 if more may follow),
-- reason, probe (1: this caller checks whether the account works again), run, n, now (ms)}.
local kept = redis.call('GET', key('claim', A.nonce))
if kept then return kept end
local create = circuit('create')
local state = serve(A.told or {})

-- The first of a tenant's edits that may be bought now. Ids that have left the queue leave `fresh` here.
local function first_of(tenant)
  if not state.shut then return redis.call('ZRANGE', key('q', tenant), 0, 0)[1] end
  for _ = 1, 200 do
    local id = redis.call('ZRANGE', key('fresh', tenant), 0, 0)[1]
    if not id or redis.call('ZSCORE', key('q', tenant), id) then return id end
    redis.call('ZREM', key('fresh', tenant), id)
  end
end

-- Stride scheduling: serves the tenant with the lowest virtual time, which pays 1/weight. Tenants without edits leave the
-- line here; tenants whose edits may not be bought yet keep their place.
local vtime
local weights = {}
local function next_in_line()
  local place = 0
  while true do
    local tenant, served_at = unpack(redis.call('ZRANGE', key('tenants'), place, place, 'WITHSCORES'))
    if not tenant then return nil end
    local id = first_of(tenant)
    if state.shut and not id then
      place = place + 1
    else
      vtime = served_at
      if id then
        weights[tenant] = weights[tenant] or tonumber(redis.call('HGET', key('weights'), tenant) or 1)
        redis.call('ZINCRBY', key('tenants'), 1 / weights[tenant], tenant)
        return id, tenant
      end
      redis.call('ZREM', key('tenants'), tenant)
    end
  end
end

local function expire(e)
  local message = "The edit's expires_in, or the signed address of its picture, ended before it was submitted; nothing was bought."
  redis.call('HSET', key('x', e.id), 'msg', message)
  finish(e, 'failed', 'expired', {set = {ek = 'expired', er = 0, cs = 'released'}, data = {kind = 'expired'}})
end

local OUTAGE = {cooldown = true, provider_account = true}
local blocked = redis.call('HMGET', key('gate'), 'blocked', 'ask')

-- Names what the edit waited for: outages with their times, else the last reason.
local function name_wait(e, why, c)
  if blocked[1] then c.down, c.wait = tonumber(blocked[1]), 'provider_account' end
  local told = tell_pauses(e, c)
  if told == 'lasts' then return end
  if why and not OUTAGE[why] then e.wt = why elseif told and OUTAGE[e.wt] then e.wt = 'fair_share' end
end

local why = redis.call('HGET', key('gate'), 'why')
-- Expires edits at any place in the queue; not during a data-loss check, because they may have been bought.
for _, id in ipairs(state.shut and {} or redis.call('ZRANGEBYSCORE', key('expiring'), '-inf', NOW, 'LIMIT', 0, 100)) do
  local can, e = pcall(record, id)
  if can and e and e.st == 'queued' then
    name_wait(e, why, create)
    expire(e)
  elseif can then
    redis.call('ZREM', key('expiring'), id)
  else
    redis.call('ZADD', key('expiring'), NOW + LEFT, id)
  end
end

local function claim(e, slot)
  local written = advance(e, {
    status = 'submitting', place = 'submit', due = NOW + A.lease, wait = 'submit', event = 'submitting',
    data = {attempt = e.at}, set = {fe = e.fe + 1, li = NOW + A.lease, sa = NOW, cs = 'reserved'},
  })
  return {id = e.id, slot = slot, e = with(e, written), input = redis.call('GET', key('i', e.id)) or ''}
end

-- Derived from the edits' places, never from a counter.
local in_flight = redis.call('ZCARD', key('abandoned'))
for _, step in ipairs({'submit', 'adopt', 'poll'}) do in_flight = in_flight + redis.call('ZCARD', key('due', step)) end
local claims, offer, probe = {}, {n = 0, reason = 'provider_account', at = tonumber(blocked[2] or 0)}, 0
local room = ceiling('max_in_flight', A.max_in_flight) - in_flight
if blocked[1] then
  if offer.at <= NOW or offer.at > NOW + 15000 then
    probe = 1
    offer.at = NOW + 15000
    redis.call('HSET', key('gate'), 'ask', offer.at)
  end
else
  offer = quote(create, ceiling('creates_per_second', A.rate), A.lookahead)
end

local wanted = math.min(offer.n, A.k, math.max(room, 0))
local looked, broken = 0, {}
while #claims < wanted and looked < wanted + 200 do
  looked = looked + 1
  local id, tenant = next_in_line()
  if not id or broken[id] then break end
  local can, e = pcall(record, id)
  if not can then
    broken[id] = true
    for _, line in ipairs({'q', 'fresh'}) do redis.call('ZADD', key(line, tenant), 'XX', NOW + HORIZON, id) end -- last, until it is readable
  elseif not e or e.st ~= 'queued' then
    redis.call('ZREM', key('q', tenant), id)
    redis.call('DECR', key('queued'))
  else
    name_wait(e, not state.shut and why or nil, create)
    if e.ex and e.ex <= NOW then expire(e) else claims[#claims + 1] = claim(e, #claims * (offer.gap or 0) + (offer.first - NOW)) end
  end
end
if vtime then redis.call('SET', key('vtime'), vtime) end
spend('create', offer, #claims)
if #claims > 0 then give_number(state, state.run) end

-- A chain held back by the rate comes back for several slots at once, long before its slots are used up.
local granted_at = offer.reason == 'rate_limit' and math.max(offer.at, NOW + A.lookahead / 4) or offer.at
local reason, next_at = '', NOW + A.idle
if queued() > 0 then
  if state.shut and #claims == 0 and not blocked[1] then reason, next_at = 'restored', NOW + 1000
  elseif offer.n == 0 then reason, next_at = offer.reason, granted_at
  elseif room <= #claims then reason, next_at = 'in_flight_cap', NOW + 1000
  elseif A.k <= #claims then reason, next_at = 'fair_share', NOW
  else reason, next_at = offer.reason, granted_at end
elseif blocked[1] then
  next_at = offer.at
end
if reason ~= '' then redis.call('HSET', key('gate'), 'why', reason) else redis.call('HDEL', key('gate'), 'why') end
local expiring = state.shut and {} or redis.call('ZRANGE', key('expiring'), 0, 0, 'WITHSCORES')
next_at = math.min(next_at, NOW + A.idle, math.max(NOW, tonumber(expiring[2] or next_at)))
if #claims == 0 and reason == '' then next_at = math.min(NOW + A.idle, in_turn('submit', A.chain, next_at)) end
if #claims > 0 and reason ~= 'rate_limit' then
  redis.call('ZADD', key('idle', 'submit'), NOW + MOMENT, A.chain)
elseif #claims == 0 and next_at > NOW then
  redis.call('ZADD', key('idle', 'submit'), next_at, A.chain)
end
return remember({claims = claims, next = math.max(0, next_at - NOW), reason = reason, probe = probe, half = offer.half and {'create'} or {}, run = state.run, n = state.n, now = NOW})
