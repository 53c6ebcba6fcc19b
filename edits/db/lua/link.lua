#!lua flags=allow-oom
--- @include _time
-- One link of a chain: raises the chain's number by compare-and-set, so that a doubled message ends at once. A: step, slot,
-- number (as the message says), grace (ms the chain counts as alive), nonce (who asks: a repeat gets the same answer).
-- Returns ok|stale|surplus.
local chain = key('chain', A.step)
local seen = redis.call('HMGET', chain, 'n' .. A.slot, 'h' .. A.slot, 'on')
if A.slot >= math.max(1, tonumber(seen[3] or A.slot + 1)) then return 'surplus' end
local number = tonumber(seen[1] or -1)
if number == A.number + 1 and seen[2] == A.nonce then return 'ok' end
if number ~= A.number then return 'stale' end
redis.call('HSET', chain, 'n' .. A.slot, A.number + 1, 'a' .. A.slot, NOW + A.grace, 'h' .. A.slot, A.nonce)
return 'ok'
