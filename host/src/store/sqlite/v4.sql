-- Messages that go from agent to agent.

CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  bot TEXT NOT NULL,
  open INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  run TEXT NOT NULL
) STRICT;
CREATE INDEX runs_open ON runs (bot, id) WHERE open = 1;
CREATE INDEX runs_done ON runs (updated) WHERE open = 0;
