-- The head of every script. KEYS[1] is the prefix of all keys (`retouch:`); ARGV[1] is a JSON object of named arguments.
-- The keys are listed in edits/db/keys.py.

local NS, A = KEYS[1], cjson.decode(ARGV[1])

local function key(a, b, c)
  if c then return NS .. a .. ':' .. b .. ':' .. c end
  if b then return NS .. a .. ':' .. b end
  return NS .. a
end
