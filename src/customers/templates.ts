// Templates of customers: stored texts with parameters (src/core/template.ts), in versions that never change.
// Sends find them in memory, with the key that they came with.
// Invariants: whatever adds or deletes versions changes the customer's row in the same transaction, by which
// every process forgets what it knew of the customer within 2 s (key-cache.ts), and its templates with it.
// Bounds: TEMPLATES_MAX templates of a customer, TEMPLATE_VERSIONS_MAX versions of each; KEPT_MAX in memory
// for each key.

import { TEMPLATE_VERSIONS_MAX, TEMPLATES_MAX } from "../core/batch-limits.ts";
import { SluiceError } from "../core/errors.ts";
import { type Template, templateOf } from "../core/template.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import type { OfCustomer } from "../platform/pool-shares.ts";
import type { KeyOwner } from "./api-keys.ts";

export type TemplateVersion = {
  version: number;
  text: string;
  parameters: readonly string[];
  createdAtMs: number;
};
/** At its newest version. */
export type StoredTemplate = TemplateVersion & { id: string };

// ---- in memory ----

export type TemplateCache = {
  /** The text of a version, the newest one unless given; null if there is none. */
  find(owner: KeyOwner, id: string, version?: number): Promise<Template | null>;
};

const KEPT_MAX = 1_000;

export function createTemplateCache(poolOf: OfCustomer<Pick<Pool, "query">>): TemplateCache {
  // A key's owner is read anew after each change of its customer, and so are these then.
  const known = new WeakMap<KeyOwner, Map<string, Promise<Template | null>>>();
  return {
    find(owner, id, version) {
      const name = `${id} ${version ?? ""}`;
      const own = known.get(owner) ?? new Map<string, Promise<Template | null>>();
      known.set(owner, own);
      const found = own.get(name);
      if (found !== undefined) return found;
      if (own.size >= KEPT_MAX) own.delete(own.keys().next().value as string);
      const reading = read(poolOf(owner.customerId), owner.customerId, id, version);
      own.set(name, reading);
      reading.catch(() => own.get(name) === reading && own.delete(name));
      return reading;
    },
  };
}

async function read(
  pool: Pick<Pool, "query">,
  customerId: number,
  id: string,
  version?: number,
): Promise<Template | null> {
  const ofVersion = version === undefined ? "" : "AND version=? ";
  const [row] = await pool.query<{ text: string }[]>(
    `SELECT text FROM templates WHERE customer_id=? AND template_id=? ${ofVersion}` +
      "ORDER BY version DESC LIMIT 1",
    [customerId, id, ...(version === undefined ? [] : [version])],
  );
  return row === undefined ? null : templateOf(row.text);
}

// ---- in the database ----

type Row = { template_id: string; version: number; text: string; created_at: Date };

const versionOf = ({ version, text, created_at }: Row): TemplateVersion => ({
  version,
  text,
  parameters: templateOf(text).names,
  createdAtMs: created_at.getTime(),
});
const storedOf = (row: Row): StoredTemplate => ({ id: row.template_id, ...versionOf(row) });

const COLUMNS = "t.template_id, t.version, t.text, t.created_at";

/** Of a customer, by id, after the id `after`; "" is before all. */
export async function listTemplates(
  pool: Pool,
  { customerId, after, limit }: { customerId: number; after: string; limit: number },
): Promise<StoredTemplate[]> {
  const rows = await pool.query<Row[]>(
    `SELECT ${COLUMNS} FROM templates AS t JOIN ` +
      "(SELECT template_id, MAX(version) AS version FROM templates WHERE customer_id=? AND template_id>? " +
      "GROUP BY template_id ORDER BY template_id LIMIT ?) AS newest USING (template_id, version) " +
      "WHERE t.customer_id=? ORDER BY t.template_id",
    [customerId, after, limit, customerId],
  );
  return rows.map(storedOf);
}

/** All versions of one, the newest first. @throws SluiceError not_found */
export async function findTemplate(
  pool: Pick<Connection, "query">,
  customerId: number,
  id: string,
): Promise<[TemplateVersion, ...TemplateVersion[]]> {
  const rows = await pool.query<Row[]>(
    `SELECT ${COLUMNS} FROM templates AS t WHERE customer_id=? AND template_id=? ORDER BY version DESC`,
    [customerId, id],
  );
  const [newest, ...others] = rows.map(versionOf);
  if (newest === undefined) throw noTemplate();
  return [newest, ...others];
}

const noTemplate = (): SluiceError => new SluiceError("not_found", { detail: "No such template." });

/**
 * Stores the first version of one. If there is one of this id and text already, that is returned.
 * @throws SluiceError template_exists, validation_failed (too many)
 */
export function createTemplate(
  pool: Pool,
  customerId: number,
  { id, text }: { id: string; text: string },
): Promise<StoredTemplate> {
  return change(pool, customerId, async (conn) => {
    const newest = await newestOf(conn, customerId, id);
    if (newest?.text === text) return newest;
    if (newest !== null) throw new SluiceError("template_exists");
    const [row] = await conn.query<{ n: number }[]>(
      "SELECT COUNT(DISTINCT template_id) AS n FROM templates WHERE customer_id=?",
      [customerId],
    );
    if (Number(row?.n) < TEMPLATES_MAX) return insert(conn, customerId, { id, text, version: 1 });
    const reason = `is one more than the ${TEMPLATES_MAX} templates that a customer may have`;
    throw new SluiceError("validation_failed", { errors: [{ field: "id", reason }] });
  });
}

/**
 * Stores a new version, unless the newest one has this text, and returns it. @throws SluiceError not_found,
 * validation_failed (too many)
 */
export function addVersion(
  pool: Pool,
  customerId: number,
  { id, text }: { id: string; text: string },
): Promise<StoredTemplate> {
  return change(pool, customerId, async (conn) => {
    const newest = await newestOf(conn, customerId, id);
    if (newest === null) throw noTemplate();
    if (newest.text === text) return newest;
    const version = newest.version + 1;
    if (version <= TEMPLATE_VERSIONS_MAX) return insert(conn, customerId, { id, text, version });
    const reason = `is one more than the ${TEMPLATE_VERSIONS_MAX} versions that a template may have`;
    throw new SluiceError("validation_failed", { errors: [{ field: "text", reason }] });
  });
}

/** Deletes all versions. What was accepted with them is sent as it is. @throws SluiceError not_found */
export function deleteTemplate(pool: Pool, customerId: number, id: string): Promise<void> {
  return change(pool, customerId, async (conn) => {
    const { affectedRows } = await conn.write("DELETE FROM templates WHERE customer_id=? AND template_id=?", [
      customerId,
      id,
    ]);
    if (affectedRows === 0) throw noTemplate();
  });
}

/** In a transaction in which the customer's templates are changed by nobody else. */
const change = <T>(pool: Pool, customerId: number, body: (conn: Connection) => Promise<T>): Promise<T> =>
  pool.transaction(async (conn) => {
    await conn.write("UPDATE customers SET updated_at=CURRENT_TIMESTAMP(6) WHERE customer_id=?", [
      customerId,
    ]);
    return body(conn);
  });

async function newestOf(
  conn: Pick<Connection, "query">,
  customerId: number,
  id: string,
): Promise<StoredTemplate | null> {
  const [row] = await conn.query<Row[]>(
    `SELECT ${COLUMNS} FROM templates AS t WHERE customer_id=? AND template_id=? ` +
      "ORDER BY version DESC LIMIT 1",
    [customerId, id],
  );
  return row === undefined ? null : storedOf(row);
}

async function insert(
  conn: Connection,
  customerId: number,
  { id, text, version }: { id: string; text: string; version: number },
): Promise<StoredTemplate> {
  await conn.write("INSERT INTO templates (customer_id, template_id, version, text) VALUES (?, ?, ?, ?)", [
    customerId,
    id,
    version,
    text,
  ]);
  return (await newestOf(conn, customerId, id)) as StoredTemplate;
}
