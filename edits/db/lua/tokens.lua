#!lua flags=allow-oom
--- @include _limits
-- Takes a token of a limit for a request without a claim. A: name, operation (whose circuit decides), ceiling, rate,
-- lookahead (ms). Returns {granted | half (this is the probe) | wait | open, slot or wait (ms), now (ms)}.
local offer = quote(circuit(A.name), ceiling(A.ceiling, A.rate), A.lookahead, A.operation ~= A.name and circuit(A.operation) or nil)
if offer.n == 0 then return {offer.c.open and 'open' or 'wait', math.ceil(math.max(1, offer.at - NOW)), NOW} end
spend(A.name, offer, 1)
return {offer.half and 'half' or 'granted', math.floor(offer.first - NOW), NOW}
