// Where Kafka is asked first: the addresses of SLUICE_KAFKA_HOST. Any of them names all brokers, so one that
// is away shuts nobody out while another answers. Loads no driver, so that Bun may import it.

import type { Config } from "../config.ts";

export type Address = { host: string; port: number };
type Setting = Pick<Config, "kafkaHost" | "kafkaPort">;

/** In the setting's order; an address without a port has SLUICE_KAFKA_PORT. */
export const brokersOf = ({ kafkaHost, kafkaPort }: Setting): Address[] =>
  kafkaHost.split(",").map((address) => {
    const [host = "", port] = address.split(":");
    return { host, port: port === undefined ? kafkaPort : Number(port) };
  });

/** The same as Kafka's clients take them: host:port, with commas. */
export const brokerList = (setting: Setting): string =>
  brokersOf(setting)
    .map(({ host, port }) => `${host}:${port}`)
    .join(",");
