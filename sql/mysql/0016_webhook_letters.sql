-- A row of webhook_events that can't be read becomes a dead letter, like everything else that can't be (0014). Without this column no
-- process can keep one there, and those that are there are read again.
ALTER TABLE webhook_events DROP KEY waiting, DROP COLUMN dead;
