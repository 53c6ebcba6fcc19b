#!lua flags=allow-oom
-- Claims what is due of one step: pushes its due time ahead by the lease and raises its fence. A: step (poll|store|adopt|
-- manifest), wakes (the step whose chain this is), nonce, k, lease, chain, idle (ms), with_input, read? {rate, lookahead} (takes
-- read tokens). Returns {claims: [{id, slot, e, input, x}], next (ms from now), late (ms by which the next one is overdue
-- because the budget of reads does not allow more)}.
need('step', 'wakes', 'nonce', 'k', 'lease', 'chain', 'idle')
if A.read then need_in(A.read, 'rate', 'lookahead') end
local kept = redis.call('GET', key('claim', A.nonce))
if kept then return kept end
local due = key('due', A.step)

-- A create whose worker did not answer for it within its lease: the answer is lost, the task may exist.
if A.step == 'adopt' then
  for _, id in ipairs(due_in(key('due', 'submit'), 100)) do
    local can, e = readable(id)
    if not can then
      redis.call('ZADD', key('due', 'submit'), NOW + LEFT, id)
    elseif e and e.st == 'submitting' then
      advance(e, {place = 'adopt', due = NOW, wait = 'answer_lost', event = 'answer_lost', data = {cause = 'no_answer_in_lease'}, set = {fe = e.fe + 1, cs = 'unknown'}})
    else
      redis.call('ZREM', key('due', 'submit'), id)
    end
  end
end

local offer = A.read and quote('read', ceiling('reads_per_second', A.read.rate), A.read.lookahead) or nil
local wanted = math.min(A.k, offer and offer.n or A.k)
local claims = {}
for _, id in ipairs(wanted > 0 and due_in(due, wanted) or {}) do
  local can, e = readable(id)
  if not can then
    redis.call('ZADD', due, NOW + LEFT, id)
  elseif not e or (A.step == 'manifest' and not FINAL[e.st]) or (A.step ~= 'manifest' and e.pl ~= A.step) then
    redis.call('ZREM', due, id)
  else
    redis.call('ZADD', due, NOW + A.lease, id)
    local fence = A.step == 'manifest' and e.fe or e.fe + 1
    redis.call('HSET', key('e', id), 'fe', fence, 'li', NOW + A.lease)
    claims[#claims + 1] = {
      id = id, slot = offer and (offer.first - NOW + #claims * offer.gap) or 0, e = redis.call('HGETALL', key('e', id)),
      input = A.with_input and redis.call('GET', key('i', id)) or '', x = redis.call('HGETALL', key('x', id)),
    }
  end
end
if offer then spend('read', offer, #claims) end

local next_at = NOW + A.idle
local function sooner(set, least)
  local first = redis.call('ZRANGE', key('due', set), 0, 0, 'WITHSCORES')
  if first[2] then next_at = math.min(next_at, math.max(tonumber(first[2]), least)) end
end
local least = (offer and offer.n <= #claims) and offer.at or NOW
sooner(A.step, least)
local late = 0
if offer and offer.n <= #claims and offer.reason == 'rate_limit' and not offer.half then
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  late = math.max(0, NOW - tonumber(first[2] or NOW))
end
if A.step == 'adopt' then sooner('submit', NOW) end
if #claims == 0 and next_at > NOW then redis.call('ZADD', key('idle', A.wakes), next_at, A.chain) end
return remember({claims = claims, next = math.max(0, next_at - NOW), late = late, half = offer and offer.half and 1 or 0})
