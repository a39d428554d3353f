// A text with parameters: `{name}` stands for the value of that name. What is not written like a name, such
// as a lone brace, stays as it is. Pure.
// Invariant: a value is put in as it is, and never read for names.
// Bound: no text of more than TEXT_CHARS_MAX is put together, however often a name occurs.

import { type FieldError, fieldName } from "./errors.ts";
import { PARAMETER_NAME_CHARS_MAX } from "./batch-limits.ts";
import { FIELD_ERRORS_MAX, TEXT_CHARS_MAX, TEXT_PARTS_MAX } from "./limits.ts";

/** What a customer may call a template; at most TEMPLATE_ID_CHARS_MAX characters. */
export const TEMPLATE_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

export type Values = Readonly<Record<string, string>>;
export type Template = {
  /** Of its parameters, in the order in which they come first. */
  names: readonly string[];
  /** The text with these values, or everything that is wrong with them, at most FIELD_ERRORS_MAX errors. */
  fill(values: Values): { text: string } | { errors: FieldError[] };
};

const NAME = new RegExp(`\\{([A-Za-z_][A-Za-z0-9_]{0,${PARAMETER_NAME_CHARS_MAX - 1}})\\}`);

export function templateOf(text: string): Template {
  // Literal texts, and between each two of them a name.
  const pieces = text.split(NAME);
  const names = new Set(pieces.filter((_, at) => at % 2 === 1));
  return {
    names: [...names],
    fill(values) {
      const errors = errorsOf(names, values);
      if (errors.length > 0) return { errors };
      let filled = "";
      for (const [at, piece] of pieces.entries()) {
        filled += at % 2 === 1 ? (values[piece] as string) : piece;
        if (filled.length > TEXT_CHARS_MAX)
          return { errors: [{ field: "text", reason: `needs more than ${TEXT_PARTS_MAX} parts` }] };
      }
      return { text: filled };
    },
  };
}

function errorsOf(names: ReadonlySet<string>, values: Values): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of names)
    if (!Object.hasOwn(values, name)) errors.push({ field: `parameters.${name}`, reason: "is missing" });
  for (const name of Object.keys(values)) {
    if (errors.length >= FIELD_ERRORS_MAX) break;
    if (!names.has(name))
      errors.push({ field: `parameters.${fieldName(name)}`, reason: "is not a parameter of the text" });
  }
  return errors.slice(0, FIELD_ERRORS_MAX);
}
