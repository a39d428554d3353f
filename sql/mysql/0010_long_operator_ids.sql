-- Operators' ids of 100 characters and more exist, where SMPP 3.4 (5.2.23) allows 64; a cut id matches no report.
ALTER TABLE messages
  MODIFY operator_message_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ALGORITHM = INPLACE;
