-- Up to where a lane's sweep has looked (src/relay/sweep.ts): no message of the lane with a lower id can become or be `queued`.
CREATE TABLE sweeps (
  lane       ENUM ('normal', 'express') CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  open_from  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB;
