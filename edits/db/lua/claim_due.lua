#!lua flags=allow-oom
--- @include _claims _limits _pauses
-- Claims what is due of one step: pushes its due time ahead by the lease and raises its fence. A: step (poll|store|adopt|
-- manifest), wakes (the step whose chain this is), nonce, k, lease, chain, idle (ms), with_input, lookahead (ms), needs [{name,
-- rate, ceiling?}]: operations whose circuits must let it through; with a ceiling each claim takes one of its tokens.
-- Returns {claims: [{id, slot, e, input, x}], next (ms from now), half: [operation] (each claim is its probe), late (ms by which
-- the next one is overdue because the budget of reads does not allow more)}.
local kept = redis.call('GET', key('claim', A.nonce))
if kept then return kept end
local due = key('due', A.step)

-- A create without a decision within its lease: the answer is lost, the task may exist.
if A.step == 'adopt' then
  for _, id in ipairs(due_in(key('due', 'submit'), 100)) do
    local can, e = pcall(record, id)
    if not can then
      redis.call('ZADD', key('due', 'submit'), NOW + LEFT, id)
    elseif e and e.st == 'submitting' then
      advance(e, {place = 'adopt', due = NOW, wait = 'answer_lost', event = 'answer_lost', data = {cause = 'no_answer_in_lease'}, set = {fe = e.fe + 1, cs = 'unknown'}})
    else
      redis.call('ZREM', key('due', 'submit'), id)
    end
  end
end

local offers, wanted, not_before = {}, A.k, NOW
for n, want in ipairs(A.needs) do
  local rate = want.ceiling and ceiling(want.ceiling, want.rate) or want.rate
  offers[n] = quote(circuit(want.name), rate, A.lookahead, nil, not want.ceiling)
  wanted = math.min(wanted, offers[n].n)
end
local paced = A.needs[1] and A.needs[1].ceiling and offers[1] or nil

local needed = A.step == 'poll' and $POLLED or nil
local claims, leased, ids = {}, {}, wanted > 0 and due_in(due, wanted) or {}
for n, id in ipairs(ids) do leased[2 * n - 1], leased[2 * n] = NOW + A.lease, id end
if #ids > 0 then -- before all else: an edit on which this script fails must not stop the others for ever
  redis.call('ZADD', due, unpack(leased))
  redis.call('ZADD', key('idle', A.wakes), NOW + MOMENT, A.chain) -- it works on for now, and others need not look
end
for _, id in ipairs(ids) do
  local can, e = pcall(record, id, needed)
  if not can then
    redis.call('ZADD', due, NOW + LEFT, id)
  elseif not e or (A.step == 'manifest' and not FINAL[e.st]) or (A.step ~= 'manifest' and e.pl ~= A.step) then
    redis.call('ZREM', due, id)
  else
    for _, offer in ipairs(A.step == 'store' and offers or {}) do
      local before = e.wt
      if tell_pauses(e, offer.c) == 'lasts' then event(e, 'probe', {operation = offer.c.name}) end
      e.wt = before
    end
    local fence = A.step == 'manifest' and e.fe or e.fe + 1
    local written = {'fe', fence, 'li', NOW + A.lease, 'la', e.la}
    redis.call('HSET', key('e', id), unpack(written))
    claims[#claims + 1] = {
      id = id, slot = paced and (paced.first - NOW + #claims * paced.gap) or 0, e = with(e, written),
      input = A.with_input and redis.call('GET', key('i', id)) or '', x = not needed and redis.call('HGETALL', key('x', id)) or nil,
    }
  end
end
local half = {}
for n, offer in ipairs(offers) do
  spend(A.needs[n].name, offer, #claims)
  if offer.half then half[#half + 1] = A.needs[n].name end
  if offer.n <= #claims then not_before = math.max(not_before, offer.at) end
end

local next_at = NOW + A.idle
local function sooner(set, least)
  local first = tonumber(redis.call('ZRANGE', key('due', set), 0, 0, 'WITHSCORES')[2])
  if first then next_at = math.min(next_at, math.max(first, least)) end
  return first or NOW
end
local first = sooner(A.step, not_before)
local held_back = paced and paced.n <= #claims and paced.reason == 'rate_limit' and not paced.half
local late = held_back and math.max(0, NOW - first) or 0
if A.step == 'adopt' then sooner('submit', NOW) end
if #claims == 0 then
  next_at = math.min(NOW + A.idle, in_turn(A.wakes, A.chain, next_at))
  if next_at > NOW then redis.call('ZADD', key('idle', A.wakes), next_at, A.chain) end
end
return remember({claims = claims, next = math.max(0, next_at - NOW), late = late, half = half})
