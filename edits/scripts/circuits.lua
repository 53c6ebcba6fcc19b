#!lua flags=no-writes
-- What does not work now. Returns JSON: {operation = {since, until} (ms)} of all circuits that are not closed.
local found = {}
for _, name in ipairs({'create', 'read', 'history', 'download', 'storage'}) do
  local s = redis.call('HMGET', key('limit', name), 'half', 'down', 'until')
  if s[1] == '1' and s[2] then found[name] = {since = tonumber(s[2]), ['until'] = tonumber(s[3])} end
end
return next(found) and cjson.encode(found) or '{}'
