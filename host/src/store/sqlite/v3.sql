-- Several sessions under one key, of which one is current.

DROP INDEX sessions_of;
DROP INDEX sessions_updated;
ALTER TABLE sessions RENAME TO sessions_v2;
CREATE TABLE sessions (
  id TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL,
  current INTEGER NOT NULL,
  bot TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  session TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX sessions_current ON sessions (key) WHERE current = 1;
CREATE INDEX sessions_under ON sessions (key, updated);
CREATE INDEX sessions_of ON sessions (bot, updated);
CREATE INDEX sessions_updated ON sessions (updated);
INSERT INTO sessions (id, key, current, bot, epoch, updated, session)
  SELECT lower(hex(randomblob(6))), key, 1, bot, epoch, updated, '' FROM sessions_v2;
UPDATE sessions SET session = json_object(
    'id', sessions.id, 'key', old.key, 'bot', old.bot, 'agent', old.agent, 'conversation', json(old.conversation),
    'owner', old.owner, 'cli_session', old.cli_session,
    'resumable', json(iif(old.resumable, 'true', 'false')), 'fork', NULL, 'epoch', old.epoch,
    'name', NULL, 'first', '', 'last', '', 'turns', 0, 'model', NULL, 'mode', NULL, 'allowed', json('[]'),
    'input_tokens', 0, 'output_tokens', 0, 'cost_micros', 0, 'created', old.updated, 'updated', old.updated)
  FROM sessions_v2 AS old WHERE old.key = sessions.key;
DROP TABLE sessions_v2;

ALTER TABLE turns ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_of ON turns (session_id, opened);
UPDATE turns SET session_id = coalesce((SELECT id FROM sessions WHERE key = turns.session), '');

-- What was asked before could only be allowed or denied.
UPDATE asks SET ask = json_set(ask, '$.subject', 'Tool', '$.editable', 'No', '$.lasting', NULL, '$.hears', json('true'));
