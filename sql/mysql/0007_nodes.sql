-- A process that holds leases, for as long as it says so: one row a process, so that neither renewal nor expiry costs a row per
-- lease. Leases of a node past its expires_at are anyone's to take back. Its row stays for two days more, so that a grant which is
-- committed late is found by it; a foreign key would make renewals wait for grants.
CREATE TABLE nodes (
  node_id    CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  expires_at DATETIME(3) NOT NULL
) ENGINE = InnoDB;

-- What is held at the moment keeps its time.
INSERT INTO nodes (node_id, expires_at)
  SELECT node_id, MAX(expires_at) FROM credit_leases GROUP BY node_id
  ON DUPLICATE KEY UPDATE expires_at = nodes.expires_at;

ALTER TABLE credit_leases DROP KEY by_expiry, DROP COLUMN expires_at;
