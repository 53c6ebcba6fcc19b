--- @include _keys
-- The record of an edit as it is read. A script decodes and checks it before its first write, because a runtime error in Lua does
-- not undo the writes before it.

local FORMAT = $FORMAT -- of the records written here
local LEFT = 5000 -- ms until a record that cannot be read is looked at again: newer processes may be here that can
local FINAL = {}
for _, status in ipairs($FINAL) do FINAL[status] = true end
local NUMBERS, ALWAYS = {}, {}
for _, field in ipairs($NUMBERS) do NUMBERS[field] = true end
for _, field in ipairs($ALWAYS) do ALWAYS[field] = true end

-- The fields of an edit as read, a flat list; of `names` those that it has.
local function fields_of(id, names)
  if not names then return redis.call('HGETALL', key('e', id)) end
  local flat, n = {}, 0
  for i, value in ipairs(redis.call('HMGET', key('e', id), unpack(names))) do
    if value then flat[n + 1], flat[n + 2], n = names[i], value, n + 2 end
  end
  return flat
end

-- `names`: the fields that the caller needs, where it does not need all; `fm` is one of them. Raises an error for an
-- unreadable record: where it must stop no other, call pcall(record, id).
local function record(id, names)
  local flat = fields_of(id, names)
  if #flat == 0 then return nil end
  local e = {id = id, read = flat} -- `read`: the fields as read, for its claim
  for i = 1, #flat, 2 do
    local field, text = flat[i], flat[i + 1]
    e[field] = NUMBERS[field] and (tonumber(text) or error('the record of ' .. id .. ' holds no number in ' .. field, 0)) or text
  end
  if (e.fm or 1) > FORMAT then error('NEWER ' .. id .. ' has a record of format ' .. e.fm .. ', and this release knows ' .. FORMAT, 0) end
  for _, field in ipairs(names or $ALWAYS) do
    if ALWAYS[field] and not e[field] then error('the record of ' .. id .. ' lacks ' .. field, 0) end
  end
  return e
end

-- The record for its claim: the fields as read, then the fields written, which count.
local function with(e, written)
  local flat, n = e.read, #e.read
  for i = 1, #written do
    local value = written[i]
    flat[n + i] = type(value) == 'number' and string.format('%d', value) or value
  end
  return flat
end

-- The fence guards decisions: one with an old fence changes nothing.
local function fenced(e, fence)
  return e and e.fe == (fence or A.fence) and not FINAL[e.st]
end
