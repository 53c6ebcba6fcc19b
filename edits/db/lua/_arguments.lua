-- The beginning of every script: its named arguments, `A`, each of its kind, so that nothing odd is met after the first write.

-- What each argument is, in whatever script: text, whole (a whole number that every reader keeps exactly), many (one that is not
-- negative), rate (above 0), texts, wholes and numbers (lists or objects of such), of (an object or a list of objects of these),
-- key (a text or an object of these), free. Each script has only those here that it names (edits/db/loader.py).
local KINDS = {
  id = 'text', tenant = 'text', priority = 'text', input = 'text', external_id = 'text', key = 'text', fingerprint = 'text',
  task = 'text', status = 'text', how = 'text', op = 'text', name = 'text', message = 'text', nonce = 'text', chain = 'text',
  step = 'text', wakes = 'text', address = 'text', kind = 'text', cost = 'text', task_status = 'text', cause = 'text',
  event = 'text', wait = 'text', operation = 'text', process = 'text', ceiling = 'text', day = 'text', before = 'text',
  ext = 'text', sha = 'text', run = 'text',
  livemode = 'whole', shift = 'whole', units = 'whole', attempt = 'whole', fence = 'whole', due = 'whole', retryable = 'whole',
  code = 'whole', abandon = 'whole', automatic = 'whole', nudge = 'whole', ended = 'whole', started = 'whole', at = 'whole',
  number = 'whole', leave = 'whole', expires_in = 'whole', tries = 'whole', after = 'whole', first = 'whole', again = 'whole',
  no_memory = 'whole', age = 'whole', ago = 'whole', probe = 'whole', looked = 'whole', began = 'whole', shown = 'whole',
  missing = 'whole', n = 'whole', shut = 'whole', upto = 'whole', seen = 'whole', raw = 'whole', jump = 'whole',
  k = 'many', lease = 'many', lookahead = 'many', max_in_flight = 'many', max_queued = 'many', max_of_tenant = 'many',
  life = 'many', idle = 'many', hot = 'many', later = 'many', most = 'many', slot = 'many', grace = 'many', ttl = 'many',
  beat = 'many', limit = 'many', bytes = 'many', w = 'many', h = 'many', task_steps = 'many', like = 'many',
  rate = 'rate', ids = 'texts', steps = 'texts', tasks = 'texts', shifts = 'wholes', counts = 'wholes', took = 'wholes', ceilings = 'numbers',
  idem = 'key', edits = 'of', alike = 'of', read = 'of', result = 'of', running = 'of', needs = 'of', judged = 'of', told = 'of', data = 'free',
}
local EXACT = 2 ^ 53
local EACH = {texts = 'text', wholes = 'whole', numbers = 'number'}

-- For what has parts; whether a text or number is of its kind is written out by `composing.py`, after the `A` that follows.
local function is(value, kind)
  local seen = type(value)
  if kind == 'text' then return seen == 'string' end
  if seen == 'number' then
    if value <= -EXACT or value >= EXACT or value ~= value then return false end
    if kind == 'whole' then return value % 1 == 0 end
    if kind == 'many' then return value >= 0 and value % 1 == 0 end
    return kind == 'number' or (kind == 'rate' and value > 0)
  end
  if seen ~= 'table' then return kind == 'key' and seen == 'string' end
  local each = EACH[kind]
  if not each and kind ~= 'of' and kind ~= 'key' then return kind == 'free' end
  for name, one in pairs(value) do
    local wanted = each or KINDS[name] or (type(name) == 'number' and 'of')
    if wanted and not is(one, wanted) then return false end
  end
  return true
end

local function refuse(name, kind)
  error('the argument ' .. name .. ' is not of the kind ' .. kind, 0)
end

local A, v = cjson.decode(ARGV[1])

-- Refuses a call that lacks an argument, before anything is written.
local function need(...)
  for _, name in ipairs({...}) do
    if A[name] == nil then error('the argument ' .. name .. ' is missing', 0) end
  end
end

local function need_in(of, ...)
  for _, name in ipairs({...}) do
    if of[name] == nil then error('a part of an argument is missing: ' .. name, 0) end
  end
end
