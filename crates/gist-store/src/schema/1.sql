-- Times are milliseconds since the epoch, running-times nanoseconds. Order is by number and sequence, never by time:
-- the wall clock may jump. Long columns come last, so that a scan of the others leaves them on the disk.

CREATE TABLE sessions (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  stream TEXT NOT NULL,
  source TEXT NOT NULL, -- redacted
  model TEXT NOT NULL,
  language TEXT NOT NULL,
  first_index INTEGER NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER, -- null while it runs
  note TEXT -- how it ended
) STRICT;
CREATE INDEX sessions_by_stream ON sessions (stream);

-- Chapters with their revisions, and digests: what was published, byte for byte.
CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES sessions,
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  chapter_index INTEGER NOT NULL,
  emitted_at INTEGER NOT NULL, -- running-time
  at INTEGER NOT NULL,
  json TEXT NOT NULL,
  UNIQUE (session, sequence)
) STRICT;
CREATE INDEX events_by_id ON events (session, id, sequence);

CREATE TABLE observations (
  number INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES sessions,
  start_running_time INTEGER NOT NULL,
  end_running_time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  turn INTEGER NOT NULL,
  at INTEGER NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX observations_by_session ON observations (session, start_running_time);
CREATE INDEX observations_by_time ON observations (at);

CREATE TABLE gaps (
  number INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES sessions,
  from_running_time INTEGER NOT NULL,
  to_running_time INTEGER NOT NULL,
  at INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX gaps_by_session ON gaps (session);

-- The outbox.
CREATE TABLE messages (
  number INTEGER PRIMARY KEY,
  webhook_id TEXT NOT NULL UNIQUE,
  session INTEGER REFERENCES sessions,
  sequence INTEGER,
  event_type TEXT NOT NULL,
  created INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX messages_by_session ON messages (session);

CREATE TABLE deliveries (
  number INTEGER PRIMARY KEY,
  message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
  endpoint TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL,
  since INTEGER NOT NULL, -- when state or next_at was set: a clock that is behind it was set back
  reason TEXT,
  UNIQUE (message, endpoint)
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (endpoint, message) WHERE state = 'pending';

CREATE TABLE attempts (
  number INTEGER PRIMARY KEY,
  delivery INTEGER NOT NULL REFERENCES deliveries ON DELETE CASCADE,
  at INTEGER NOT NULL,
  latency INTEGER NOT NULL, -- milliseconds
  status INTEGER,
  error TEXT,
  answer TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_delivery ON attempts (delivery);
CREATE INDEX attempts_by_time ON attempts (at);

-- Endpoints that want nothing until they are enabled again.
CREATE TABLE disabled (
  endpoint TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
