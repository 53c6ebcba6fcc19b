--- @include _keys
-- The record of an edit as it is read. A script decodes and checks it before its first write, because a runtime error in Lua does
-- not undo the writes before it.

local FORMAT = $FORMAT -- of the records written here
local LEFT = 5000 -- ms until a record that cannot be read is looked at again: newer processes may be here that can
local FINAL = {}
for _, status in ipairs($FINAL) do FINAL[status] = true end
local NUMBERS = $NUMBERS
local ALWAYS = $ALWAYS

local function record(id)
  local flat = redis.call('HGETALL', key('e', id))
  if #flat == 0 then return nil end
  local e = {id = id, read = flat} -- `read`: the fields as read, for its claim
  for i = 1, #flat, 2 do e[flat[i]] = flat[i + 1] end
  for i = 1, #NUMBERS do
    local field = NUMBERS[i]
    local text = e[field]
    if text then
      e[field] = tonumber(text) or error('the record of ' .. id .. ' holds no number in ' .. field, 0)
    end
  end
  if (e.fm or 1) > FORMAT then error('NEWER ' .. id .. ' has a record of format ' .. e.fm .. ', and this release knows ' .. FORMAT, 0) end
  for i = 1, #ALWAYS do
    if not e[ALWAYS[i]] then error('the record of ' .. id .. ' lacks ' .. ALWAYS[i], 0) end
  end
  e.told = redis.call('GET', key('t', id)) or '' -- its timeline so far
  e.long = redis.call('HLEN', key('x', id)) -- how many long texts
  return e
end

-- For claims of many: an unreadable record stops no other. Returns whether it is readable, and the record.
local function readable(id)
  return pcall(record, id)
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
local function fenced(e)
  return e and e.fe == A.fence and not FINAL[e.st]
end
