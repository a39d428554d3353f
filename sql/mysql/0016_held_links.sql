-- The link of a held row's messages: the names of the operators that could take them when they were held, in alphabetical order,
-- separated by blanks; at most 32 names of 32 characters. Senders take the rows of one link at a time, so that those of a slow operator
-- are not in the way of the others. '': of rows from before, and of messages that no operator takes.
ALTER TABLE outbox_held
  ADD COLUMN link VARCHAR(1055) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '' AFTER customer_id,
  DROP KEY by_customer,
  ADD KEY by_customer (lane, customer_id, link, id);
