#!lua flags=allow-oom
--- @include _time
-- Stores how late the provider's history was in a complete reading, for `life` ms in the zset `lags`. A: began (ms), shown?
-- (ms, age of the youngest listed task of ours), missing? (ms, age of the oldest unlisted one), life. Returns [least shown,
-- most missing] of all stored readings, -1 for none. Repeatable.
local lags = key('lags')
redis.call('ZREMRANGEBYSCORE', lags, '-inf', NOW - A.life)
redis.call('ZREMRANGEBYSCORE', lags, NOW + HORIZON, '+inf')
redis.call('ZADD', lags, A.began, string.format('%.0f %.0f %.0f', A.began, A.shown or -1, A.missing or -1))
redis.call('ZREMRANGEBYRANK', lags, 0, -501)
local shown, missing = -1, -1
for _, line in ipairs(redis.call('ZRANGE', lags, 0, -1)) do
  local least, most = string.match(line, '^%S+ (%S+) (%S+)$')
  least, most = tonumber(least), tonumber(most)
  if least >= 0 and (shown < 0 or least < shown) then shown = least end
  if most > missing then missing = most end
end
return {shown, missing}
