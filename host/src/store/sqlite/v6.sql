-- Edits and deletions that came before the message that they change.

CREATE TABLE ahead (
  id INTEGER PRIMARY KEY,
  bot TEXT NOT NULL,
  message TEXT NOT NULL,
  -- NULL: the event did not tell.
  channel TEXT,
  -- 0: an edit.
  deletion INTEGER NOT NULL,
  change TEXT NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX ahead_of ON ahead (bot, message, deletion);
CREATE INDEX ahead_in_order ON ahead (bot, deletion);
CREATE INDEX ahead_expire ON ahead (expires);

-- What a message answers was its id and its words alone. `->`: the text stays as it is written. A damaged item stays too.
UPDATE inbox SET item = json_set(item, '$.what.Message.quotes', json_object(
    'id', item -> '$.what.Message.quotes[0]', 'sender', NULL, 'text', item -> '$.what.Message.quotes[1]',
    'attachments', json('[]')))
  WHERE CASE WHEN json_valid(item) THEN json_type(item, '$.what.Message.quotes') END = 'array';
UPDATE inbox SET item = json_set(item, '$.what.Edited.quotes', json_object(
    'id', item -> '$.what.Edited.quotes[0]', 'sender', NULL, 'text', item -> '$.what.Edited.quotes[1]',
    'attachments', json('[]')))
  WHERE CASE WHEN json_valid(item) THEN json_type(item, '$.what.Edited.quotes') END = 'array';
