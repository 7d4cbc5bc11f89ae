-- Edits and deletions that came before the message that they change.

CREATE TABLE ahead (
  id INTEGER PRIMARY KEY,
  bot TEXT NOT NULL,
  message TEXT NOT NULL,
  -- NULL: the event did not tell.
  channel TEXT,
  change TEXT NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX ahead_of ON ahead (bot, message);
CREATE INDEX ahead_in_order ON ahead (bot);
CREATE INDEX ahead_expire ON ahead (expires);
