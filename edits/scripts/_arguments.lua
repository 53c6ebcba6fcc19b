-- The beginning of every script: its named arguments, `A`, each of its kind, so that nothing odd is met after the first write.

local A = cjson.decode(ARGV[1])

-- What each argument is, in whatever script: text, whole (a whole number that every reader keeps exactly), many (one that is not
-- negative), rate (above 0), texts, wholes and numbers (lists or objects of such), of (an object or a list of objects of these),
-- key (a text or an object of these), free.
local KINDS = {
  id = 'text', tenant = 'text', priority = 'text', input = 'text', external_id = 'text', key = 'text', fingerprint = 'text',
  task = 'text', status = 'text', how = 'text', op = 'text', name = 'text', message = 'text', nonce = 'text', chain = 'text',
  step = 'text', wakes = 'text', address = 'text', kind = 'text', cost = 'text', task_status = 'text', cause = 'text',
  event = 'text', wait = 'text', operation = 'text', process = 'text', ceiling = 'text', day = 'text', before = 'text', ext = 'text', sha = 'text',
  livemode = 'whole', shift = 'whole', units = 'whole', attempt = 'whole', fence = 'whole', due = 'whole', retryable = 'whole',
  code = 'whole', abandon = 'whole', automatic = 'whole', nudge = 'whole', ended = 'whole', started = 'whole', at = 'whole',
  number = 'whole', leave = 'whole', expires_in = 'whole', tries = 'whole', after = 'whole', first = 'whole', again = 'whole',
  k = 'many', lease = 'many', lookahead = 'many', max_in_flight = 'many', max_queued = 'many', max_of_tenant = 'many',
  life = 'many', idle = 'many',
  hot = 'many',
  later = 'many', most = 'many', slot = 'many', grace = 'many', ttl = 'many', beat = 'many', limit = 'many', bytes = 'many',
  w = 'many', h = 'many', task_steps = 'many', rate = 'rate', ids = 'texts', steps = 'texts', tasks = 'texts', shifts = 'wholes',
  ceilings = 'numbers', counts = 'wholes', idem = 'key', read = 'of', result = 'of', running = 'of', no_memory = 'whole', needs = 'of', age = 'whole', ago = 'whole',
  probe = 'whole', looked = 'whole',
  began = 'whole', shown = 'whole', missing = 'whole', judged = 'of', told = 'of', run = 'text', n = 'whole', shut = 'whole', upto = 'whole', seen = 'whole', raw = 'whole', jump = 'whole', data = 'free',
}
local EXACT = 2 ^ 53

local CHECKS = {}
local function check(name, value, kind)
  if not CHECKS[kind](value, name) then error('the argument ' .. name .. ' is not of the kind ' .. kind, 0) end
end
local function each(value, kind, name)
  if type(value) ~= 'table' then return false end
  for _, one in pairs(value) do check(name, one, kind) end
  return true
end
function CHECKS.text(v) return type(v) == 'string' end
function CHECKS.whole(v) return type(v) == 'number' and v > -EXACT and v < EXACT and v == math.floor(v) end
function CHECKS.many(v) return CHECKS.whole(v) and v >= 0 end
function CHECKS.rate(v) return type(v) == 'number' and v > 0 and v < EXACT end
function CHECKS.number(v) return type(v) == 'number' and v > -EXACT and v < EXACT end
function CHECKS.texts(v, name) return each(v, 'text', name) end
function CHECKS.wholes(v, name) return each(v, 'whole', name) end
function CHECKS.numbers(v, name) return each(v, 'number', name) end
function CHECKS.free(v) return type(v) == 'table' end
function CHECKS.of(v)
  if type(v) ~= 'table' then return false end
  for name, value in pairs(v) do
    if type(name) == 'number' then
      if not CHECKS.of(value) then return false end
    elseif KINDS[name] then
      check(name, value, KINDS[name])
    end
  end
  return true
end
function CHECKS.key(v) return type(v) == 'string' or CHECKS.of(v) end
for name, value in pairs(A) do
  if KINDS[name] then check(name, value, KINDS[name]) end
end

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
