-- The head of every script: the prefix of our keys, and the named arguments.
-- KEYS[1] is the prefix (`retouch:`), so that no key lies outside it; ARGV[1] is a JSON object, `A`. The typed methods of Python
-- give each argument its type. The map of keys is edits/db/keys.py.

local NS, A = KEYS[1], cjson.decode(ARGV[1])

local function key(a, b, c)
  if c then return NS .. a .. ':' .. b .. ':' .. c end
  if b then return NS .. a .. ':' .. b end
  return NS .. a
end
