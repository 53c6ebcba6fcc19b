#!lua flags=allow-oom
--- @include _time
-- Reads the clock (edits/db/clock.py). A: judged? {seen, raw, jump}: from the tick `seen` to `raw` the server's clock moved
-- `jump` ms more than time did. Returns {raw, stepped, seen}; seen is 0, or the last tick if the time since must be judged
-- first: until then time stands still. Repeatable: a verdict counts once.
if A.judged and A.judged.seen == SEEN then
  SEEN, STEPPED = A.judged.raw, STEPPED - A.judged.jump
  redis.call('SET', key('tick'), string.format('%.0f %.0f', SEEN, STEPPED))
end
if RAW < SEEN - 1000 or RAW > SEEN + UNSEEN then return {RAW, STEPPED, SEEN} end
redis.call('SET', key('tick'), string.format('%.0f %.0f', math.max(RAW, SEEN), STEPPED))
return {RAW, STEPPED, 0}
