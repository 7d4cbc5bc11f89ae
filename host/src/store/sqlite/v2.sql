-- Whose session a place is of, where its key was made before the place had a name.
CREATE TABLE homes (
  bot TEXT NOT NULL,
  place TEXT NOT NULL,
  session TEXT NOT NULL,
  PRIMARY KEY (bot, place)
) STRICT, WITHOUT ROWID;

-- The vendor's id of what somebody said: edits and deletions find it.
ALTER TABLE inbox ADD COLUMN message TEXT;
CREATE INDEX inbox_said ON inbox (bot, message) WHERE message IS NOT NULL;
CREATE INDEX turns_from ON turns (inbox) WHERE inbox IS NOT NULL;

-- JSON of the files that the agent is handed with the prompt.
ALTER TABLE turns ADD COLUMN files TEXT NOT NULL DEFAULT '[]';

-- Some vendors' message ids are unique in their channel only.
DROP TRIGGER outbox_forgets_posted;
ALTER TABLE posted RENAME TO posted_before;
CREATE TABLE posted (
  bot TEXT NOT NULL,
  message TEXT NOT NULL,
  channel TEXT NOT NULL,
  turn TEXT NOT NULL,
  PRIMARY KEY (bot, message, channel)
) STRICT, WITHOUT ROWID;
INSERT INTO posted SELECT posted_before.bot, message, json_extract(target, '$.conversation.channel'), turn
  FROM posted_before JOIN outbox USING (turn);
DROP TABLE posted_before;
CREATE INDEX posted_by ON posted (turn);
CREATE TRIGGER outbox_forgets_posted AFTER DELETE ON outbox BEGIN
  DELETE FROM posted WHERE turn = old.turn;
END;
