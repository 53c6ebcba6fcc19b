"""The names of all keys and channels in Redis: the one map for Python and for the Lua scripts, which a test compares.

A key is `{namespace}:{name}` and its parts. A key without an expiry is removed with its edit, or holds one small value.
"""

from enum import StrEnum


class Key(StrEnum):
    # Of one edit, {id}
    RECORD = "e"  # hash: its fields (fields.py)
    INPUT = "i"  # JSON: what was requested, never changed
    TEXTS = "x"  # hash: texts over 64 bytes, only while they are needed
    TIMELINE = "t"  # lines of JSON: [event, ms, wait that ended, data]
    # Where edits wait
    QUEUE = "q"  # {tenant} zset: queued edits by arrival
    TENANTS = "tenants"  # zset: tenants in line, by their turn (stride scheduling)
    VTIME = "vtime"  # the turn that was served last
    WEIGHTS = "weights"  # hash: weight of a tenant
    QUEUED = "queued"  # how many edits wait in all queues
    EXPIRING = "expiring"  # zset: queued edits that have an `expires_in`, by its end
    DUE = "due"  # {step} zset: edits by the time of their next look: submit, adopt, poll, store, manifest
    ABANDONED = "abandoned"  # zset: paid tasks that no edit waits for
    RETENTION = "retention"  # zset: ended edits by their end, or later where something keeps them (evict.lua)
    # By what edits and tasks are found
    INDEX = "index"  # {tenant} zset: edits that are here, by id, which sorts by time
    EXTERNAL_ID = "ext"  # {tenant}:{external_id} zset: the same
    IDEMPOTENCY = "idem"  # {tenant}:{key} JSON: edit and fingerprint, expires once the edit has ended
    TASK = "task"  # {task_id}: its edit
    # What holds edits back
    LIMIT = "limit"  # {operation} hash: tokens and circuit (_limits.lua)
    PAUSES = "pauses"  # {operation} list: its last outages, "from to wait" each (ms)
    GATE = "gate"  # hash: why nothing is submitted
    CEILINGS = "ceilings"  # hash: the lowest of all living processes
    # Workers
    CLAIM = "claim"  # {nonce}: the answer to a claim, 30 s
    BEAT = "beat"  # {process}: the last heartbeat whose counts were added, a day
    LIVE = "live"  # zset: worker processes by the end of their heartbeat
    WORKERS = "workers"  # hash: steps and ceilings of each process, as words (heartbeat.lua)
    IDLE = "idle"  # {step} zset: sleeping chains by when they wake up
    PURGE = "purge"  # hash: who deletes old objects, at which day, when the next round begins (purge.lua)
    # A Redis that was set back (_served.lua)
    SERVED = "served"  # zset: the servers that these data had, by the number each gave out last
    DOUBT = "doubt"  # hash: what is known of it, only while the data may lack something
    AWAITED = "awaited"  # zset: workers that have not spoken since
    FRESH = "fresh"  # {tenant} zset: queued edits that may be bought meanwhile
    UNKNOWN = "unknown"  # zset: "task edit" of paid tasks whose edits are not here; the last 1000
    # The namespace
    MARKER = "marker"  # the program that uses the namespace, and the format of its keys (access.py)
    # Counters, and the clock
    STATS = "stats"  # hash: counters
    TOOK = "took"  # {steps} list: what the latest tasks took, the latest first (completed.lua)
    LAGS = "lags"  # zset: lags of the provider's history in the last hour (scanned.lua)
    MARK = "mark"  # written before waiting for replicas
    CLOCK = "clock"  # ms added to the server's time, by tests
    TICK = "tick"  # when the server's clock was looked at last, and ms by which its jumps are undone (tick.lua)
    # Channels
    WAKE = "wake"  # for all workers, and {process} for one: a step has work
    ENDED = "ended"  # the id of an edit

    def of(self, namespace: str, *parts: object) -> str:
        return ":".join((namespace, self, *map(str, parts)))
