-- Where the background check of the books is (src/ledger/reconcile-turn.ts), so that a restart goes on and doesn't begin anew. One row.
CREATE TABLE reconcile_turn (
  turn          TINYINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'always 1',
  next_customer BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0: a turn begins',
  next_message  CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  drifts        INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'found in this turn so far',
  started_at    DATETIME(3) NULL,
  ended_at      DATETIME(3) NULL COMMENT 'of the last full turn',
  took_ms       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  drifts_last   INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE = InnoDB;
