-- Whether a customer is told by an event that an endpoint of its takes no calls any more.
ALTER TABLE webhooks
  ADD COLUMN tell_pauses BOOLEAN NOT NULL DEFAULT TRUE,
  ALGORITHM = INSTANT;

-- Where such an event can go if it can't go to the customer's own URL, and when an endpoint stopped the last time, which stays after it is
-- taken up again.
ALTER TABLE webhook_endpoints
  ADD COLUMN url VARCHAR(500) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'the callback_url that was acknowledged last',
  ADD COLUMN stopped_at DATETIME(3) NULL,
  ALGORITHM = INSTANT;
