#!lua flags=allow-oom
-- Takes one token of a limit for a request that belongs to no claim. A: name, ceiling, rate, lookahead (ms).
-- Returns {ok (0|1), slot or wait (ms)}.
need('name', 'ceiling', 'rate', 'lookahead')
local offer = quote(A.name, ceiling(A.ceiling, A.rate), A.lookahead)
if offer.n == 0 then return {0, math.ceil(math.max(1, offer.at - NOW))} end
spend(A.name, offer, 1)
return {1, math.floor(offer.first - NOW)}
