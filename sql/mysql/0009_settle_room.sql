-- An UPDATE that makes a row longer moves it within its page, and splits the page once that is full: 20 us a row for a settlement
-- in place of 14. So a message keeps room for its operator's name and id from the start, and gives it up when it gets them.
ALTER TABLE messages
  ADD COLUMN settle_room VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    DEFAULT '................................................',
  ALGORITHM = INSTANT;
