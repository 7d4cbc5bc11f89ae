-- Times are milliseconds since 1970. Values of our own types are JSON. States are the numbers in rows.rs.
-- Partial indexes hold only what is still to be done, so that done rows cost nothing.

CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  bot TEXT NOT NULL,
  key TEXT NOT NULL,
  item TEXT NOT NULL,
  received INTEGER NOT NULL,
  state INTEGER NOT NULL,
  UNIQUE (bot, key)
) STRICT;
CREATE INDEX inbox_new ON inbox (bot, id) WHERE state = 0;
CREATE INDEX inbox_done ON inbox (received) WHERE state = 2;

CREATE TABLE aside (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  bot TEXT NOT NULL,
  event TEXT NOT NULL,
  reason TEXT NOT NULL,
  again INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  received INTEGER NOT NULL
) STRICT;
CREATE INDEX aside_of ON aside (again, bot, id);
CREATE INDEX aside_all ON aside (again, id);
CREATE INDEX aside_lost ON aside (received) WHERE again = 0;

CREATE TABLE turns (
  id TEXT NOT NULL UNIQUE,
  bot TEXT NOT NULL,
  session TEXT NOT NULL,
  inbox INTEGER,
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  target TEXT NOT NULL,
  asker TEXT NOT NULL,
  prompt TEXT NOT NULL,
  opened INTEGER NOT NULL,
  view TEXT
) STRICT;
CREATE INDEX turns_open ON turns (bot, opened) WHERE state < 3;
CREATE INDEX turns_done ON turns (opened) WHERE state = 3;

CREATE TABLE sessions (
  key TEXT NOT NULL UNIQUE,
  bot TEXT NOT NULL,
  agent TEXT NOT NULL,
  conversation TEXT NOT NULL,
  owner TEXT,
  cli_session TEXT,
  resumable INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  updated INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of ON sessions (bot, updated);
CREATE INDEX sessions_updated ON sessions (updated);

CREATE TABLE cli_sessions (
  cli_session TEXT PRIMARY KEY,
  key TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  turn TEXT NOT NULL UNIQUE,
  bot TEXT NOT NULL,
  target TEXT NOT NULL,
  view TEXT,
  revision INTEGER,
  state INTEGER NOT NULL,
  memory BLOB,
  attempts INTEGER NOT NULL,
  next_try INTEGER NOT NULL,
  last_error TEXT,
  updated INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_pending ON outbox (bot, next_try) WHERE state = 0 AND view IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (updated) WHERE state = 1;
CREATE INDEX outbox_dead ON outbox (updated) WHERE state > 1;
CREATE INDEX outbox_dead_of ON outbox (bot, updated) WHERE state > 1;

CREATE TABLE posted (
  bot TEXT NOT NULL,
  message TEXT NOT NULL,
  turn TEXT NOT NULL,
  PRIMARY KEY (bot, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX posted_by ON posted (turn);
CREATE TRIGGER outbox_forgets_posted AFTER DELETE ON outbox BEGIN
  DELETE FROM posted WHERE turn = old.turn;
END;

CREATE TABLE threads (
  bot TEXT NOT NULL,
  place TEXT NOT NULL,
  PRIMARY KEY (bot, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE asks (
  id TEXT NOT NULL UNIQUE,
  turn TEXT NOT NULL,
  expires INTEGER NOT NULL,
  state INTEGER NOT NULL,
  ask TEXT NOT NULL
) STRICT;
CREATE INDEX asks_of ON asks (turn);
CREATE INDEX asks_open ON asks (expires) WHERE state = 0;
CREATE INDEX asks_closed ON asks (expires) WHERE state = 2;

CREATE TABLE tokens (
  token TEXT NOT NULL UNIQUE,
  expires INTEGER NOT NULL,
  stands_for TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_expire ON tokens (expires);

CREATE TABLE kv (
  bot TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  expires INTEGER,
  UNIQUE (bot, key)
) STRICT;
CREATE INDEX kv_expire ON kv (expires) WHERE expires IS NOT NULL;
CREATE INDEX kv_expire_of ON kv (bot, expires) WHERE expires IS NOT NULL;
-- What a bot's adapter keeps is counted as it changes: a quota is asked for at every write.
CREATE TABLE kv_sizes (
  bot TEXT PRIMARY KEY,
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER kv_added AFTER INSERT ON kv BEGIN
  INSERT INTO kv_sizes VALUES (new.bot, 1, length(CAST(new.key AS BLOB)) + length(new.value))
    ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER kv_changed AFTER UPDATE OF value ON kv BEGIN
  UPDATE kv_sizes SET bytes = bytes + length(new.value) - length(old.value) WHERE bot = new.bot;
END;
CREATE TRIGGER kv_removed AFTER DELETE ON kv BEGIN
  UPDATE kv_sizes SET entries = entries - 1, bytes = bytes - length(CAST(old.key AS BLOB)) - length(old.value)
    WHERE bot = old.bot;
END;

CREATE TABLE timers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  bot TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX timers_at ON timers (at);

CREATE TABLE web (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  bot TEXT NOT NULL,
  channel TEXT NOT NULL,
  message TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (bot, channel, message)
) STRICT;
CREATE INDEX web_of ON web (bot, channel, seq);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  bot TEXT NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL
) STRICT;
