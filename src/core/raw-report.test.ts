import { expect, test } from "bun:test";
import fc from "fast-check";
import { RecordError } from "./packed.ts";
import { packReports, type RawReport, unpackReports } from "./raw-report.ts";

const bytes = fc.uint8Array({ maxLength: 300 });
const common = { operator: fc.string(), receivedAtMs: fc.maxSafeNat() };
const report: fc.Arbitrary<RawReport> = fc.oneof(
  fc.record({ ...common, via: fc.constant("smpp" as const), pdu: bytes }),
  fc.record({
    ...common,
    via: fc.constant("http" as const),
    contentType: fc.string({ unit: "binary" }),
    query: fc.string(),
    body: bytes,
  }),
);
const plain = (r: RawReport) => (r.via === "smpp" ? { ...r, pdu: [...r.pdu] } : { ...r, body: [...r.body] });

test("reports come back byte for byte", () => {
  fc.assert(
    fc.property(fc.array(report, { maxLength: 5 }), (reports) => {
      expect(unpackReports(packReports(reports)).map(plain)).toEqual(reports.map(plain));
    }),
  );
});

test("anything else is refused with a RecordError", () => {
  fc.assert(
    fc.property(bytes, (noise) => {
      try {
        unpackReports(noise);
      } catch (error) {
        expect(error).toBeInstanceOf(RecordError);
      }
    }),
  );
});
