// Parsers of option values, with commander's own error, which names the option.

import { InvalidArgumentError } from "commander";

export function wholeNumber(min: number, max: number): (given: string) => number {
  return (given) => {
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

export function oneOf<T extends string>(...allowed: T[]): (given: string) => T {
  return (given) => {
    const found = allowed.find((each) => each === given);
    if (found === undefined) throw new InvalidArgumentError(`It must be one of: ${allowed.join(", ")}.`);
    return found;
  };
}
