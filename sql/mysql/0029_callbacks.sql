-- In which form a message's callbacks are made, if its client asked for them through a door (src/core/peers/form.ts).
ALTER TABLE messages
  ADD COLUMN callback_form VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: Sluice''s own',
  ALGORITHM = INSTANT;

-- The same of a delivery, and its last calls.
ALTER TABLE webhook_deliveries
  ADD COLUMN form VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: Sluice''s own',
  ADD COLUMN calls VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'time:code:ms of each, src/core/webhook-calls.ts',
  ALGORITHM = INSTANT;

-- What signs as the key does, for Twilio's signature: the states of HMAC-SHA1 after the key (src/core/hmac-sha1.ts). The key can't be
-- found by it, and it opens nothing.
ALTER TABLE api_keys
  ADD COLUMN hmac_sha1 BINARY(40) NULL COMMENT 'NULL: no callback was ever asked for with it',
  ALGORITHM = INSTANT;
