// For each alert of deploy/prometheus/alerts.yml: series for which it fires, with the labels it then has, and
// series for which it doesn't, chosen as close to the rule's limits as possible. Values are in promtool's
// notation, one each 30 s: `2x40` is 2 for 20 minutes, `0+5x40` grows by 5.

export type AlertCase = {
  alert: string;
  /** Labels besides `severity`. */
  labels?: Record<string, string>;
  fires: Record<string, string>;
  quiet: Record<string, string>;
  /** When the alert is evaluated; default: after 20 minutes. */
  at?: string;
};

const of = (role: string, more = "") => `{instance="a:1",job="sluice",role="${role}"${more}}`;
const ingest = of("ingest");
const identity = { instance: "a:1", job: "sluice" };
const asIngest = { ...identity, role: "ingest" };
const requests = (code: string) =>
  `sluice_http_requests_total${of("ingest", `,route="/v1/sms/send",method="POST",code="${code}"`)}`;
const sent = ',route="/v1/sms/send",method="POST",code="202"';
const sends = (le: string) =>
  `sluice_http_request_duration_seconds_bucket${of("ingest", `${sent},le="${le}"`)}`;
const loop = (le: string) => `sluice_event_loop_lag_seconds_bucket${of("ingest", `,le="${le}"`)}`;
const submits = (answer: string) =>
  `sluice_operator_submits_total${of("sender-normal", `,operator="A",answer="${answer}"`)}`;
const took = (le: string) =>
  `sluice_operator_submit_duration_seconds_bucket${of("sender-normal", `,operator="A",le="${le}"`)}`;
const express = (result: string) =>
  `sluice_sender_express_total${of("sender-express", `,result="${result}"`)}`;
const saturated = (result: string) =>
  `sluice_ingest_express_saturated_total${of("ingest", `,result="${result}"`)}`;
const uses = (instance: string, sha256: string) =>
  `sluice_routes_info{instance="${instance}",job="sluice",role="ingest",sha256="${sha256}"}`;
const relay = (name: string, more = "") => `${name}${of("relay", more)}`;
const sender = (name: string) => `${name}${of("sender-normal")}`;
const reports = (operator: string, result: string) =>
  `sluice_dlr_reports_total${of("dlr", `,operator="${operator}",result="${result}"`)}`;
const open = (role: string, operator: string) =>
  `sluice_operator_breaker_open${of(role, `,operator="${operator}"`)}`;

const processes: AlertCase[] = [
  {
    alert: "SluiceDown",
    labels: identity,
    fires: { 'up{instance="a:1",job="sluice"}': "0x40" },
    quiet: { 'up{instance="a:1",job="sluice"}': "1x40", 'up{instance="a:1",job="node"}': "0x40" },
  },
  {
    alert: "SluiceNotReady",
    labels: asIngest,
    fires: { [`sluice_ready${ingest}`]: "0x40" },
    quiet: { [`sluice_ready${ingest}`]: "1x38 0 0" }, // for half a minute
  },
  {
    alert: "SluiceDegraded",
    labels: { ...asIngest, check: "kafka" },
    fires: {
      [`sluice_ready${ingest}`]: "1x40",
      [`sluice_ready_check${of("ingest", ',check="kafka"')}`]: "0x40",
    },
    quiet: {
      // Not being ready at all is another alert.
      [`sluice_ready${ingest}`]: "0x40",
      [`sluice_ready_check${of("ingest", ',check="mysql"')}`]: "0x40",
    },
  },
  {
    alert: "SluiceRestarts",
    labels: asIngest,
    fires: { [`process_start_time_seconds${ingest}`]: "100x20 200x5 300x5 400x10" },
    quiet: { [`process_start_time_seconds${ingest}`]: "100x20 200x5 300x20" },
  },
  {
    alert: "SluiceErrorsLogged",
    labels: { role: "ingest" },
    fires: { [`sluice_log_lines_total${of("ingest", ',level="error"')}`]: "0x30 1x10" },
    quiet: {
      [`sluice_log_lines_total${of("ingest", ',level="error"')}`]: "1x40",
      [`sluice_log_lines_total${of("ingest", ',level="warn"')}`]: "0+1x40",
    },
  },
  {
    alert: "SluiceStalls",
    labels: { instance: "a:1", role: "ingest" },
    fires: { [loop("0.1")]: "0+270x40", [loop("0.5")]: "0+300x40", [loop("+Inf")]: "0+300x40" },
    quiet: { [loop("0.1")]: "0+299x40", [loop("0.5")]: "0+300x40", [loop("+Inf")]: "0+300x40" },
  },
  {
    alert: "SluiceFilesNearLimit",
    labels: asIngest,
    fires: { [`process_open_fds${ingest}`]: "820x40", [`process_max_fds${ingest}`]: "1000x40" },
    quiet: { [`process_open_fds${ingest}`]: "790x40", [`process_max_fds${ingest}`]: "1000x40" },
  },
  {
    alert: "SluiceDatabasePoolFull",
    labels: { ...asIngest, pool: "read" },
    fires: { [`sluice_mysql_pool_waiting${of("ingest", ',pool="read"')}`]: "3x40" },
    quiet: { [`sluice_mysql_pool_waiting${of("ingest", ',pool="read"')}`]: "3x36 0 3 3 3" },
  },
  {
    alert: "SluiceLockWaits",
    labels: { pool: "ledger" },
    fires: { [`sluice_mysql_errors_total${of("ingest", ',pool="ledger",error="lock_wait"')}`]: "0+1x40" },
    quiet: { [`sluice_mysql_errors_total${of("ingest", ',pool="ledger",error="deadlock"')}`]: "0+9x40" },
  },
  {
    alert: "SluiceClockOff",
    labels: asIngest,
    fires: { [`sluice_clock_skew_seconds${ingest}`]: "-0.6x40" },
    quiet: { [`sluice_clock_skew_seconds${ingest}`]: "-0.4x40" },
  },
  {
    alert: "SluiceClockOff",
    labels: { ...identity, role: "sender-normal" },
    fires: { [sender("sluice_clock_skew_seconds")]: "4x40" },
    quiet: { [sender("sluice_clock_skew_seconds")]: "0.5x40" },
  },
  {
    alert: "SluiceProcessSlept",
    fires: { [`sluice_sender_idle_ended_total${of("sender-normal")}`]: "0x30 1x10" },
    quiet: { [`sluice_sender_idle_ended_total${of("sender-normal")}`]: "1x40" },
  },
];

const accepting: AlertCase[] = [
  {
    alert: "SluiceServerErrors",
    fires: { [requests("202")]: "0+980x40", [requests("503")]: "0+20x40" },
    quiet: { [requests("202")]: "0+995x40", [requests("503")]: "0+5x40", [requests("402")]: "0+9000x40" },
  },
  {
    alert: "SluiceAcceptSlow",
    fires: { [sends("0.5")]: "0+90x40", [sends("1")]: "0+100x40", [sends("+Inf")]: "0+100x40" },
    quiet: { [sends("0.5")]: "0+995x40", [sends("1")]: "0+1000x40", [sends("+Inf")]: "0+1000x40" },
  },
  {
    alert: "SluiceNothingAccepted",
    fires: { [`sluice_ingest_accepted_total${ingest}`]: "0+60x40 2400x160" },
    quiet: { [`sluice_ingest_accepted_total${ingest}`]: "2400x200" }, // it was just as quiet before
    at: "80m",
  },
  {
    alert: "SluiceCommitInDoubt",
    fires: { [`sluice_ingest_in_doubt_total${ingest}`]: "0x35 1x5" },
    quiet: { [`sluice_ingest_in_doubt_total${ingest}`]: "1x40" },
  },
  {
    alert: "SluiceLeasesFailing",
    labels: { operation: "grant" },
    fires: { [`sluice_lease_operation_failures_total${of("ingest", ',operation="grant"')}`]: "0+1x40" },
    quiet: { [`sluice_lease_operation_failures_total${of("ingest", ',operation="grant"')}`]: "0x30 5x10" },
  },
];

const backlog: AlertCase[] = [
  {
    alert: "SluiceBacklogUnknown",
    fires: { [`sluice_ready${of("relay")}`]: "1x40" },
    quiet: { [relay("sluice_outbox_oldest_seconds", ',lane="normal"')]: "0x40" },
  },
  {
    alert: "SluiceOutboxOld",
    labels: { lane: "express" },
    fires: { [relay("sluice_outbox_oldest_seconds", ',lane="express"')]: "3x40" },
    quiet: {
      [relay("sluice_outbox_oldest_seconds", ',lane="express"')]: "1x40",
      [relay("sluice_outbox_oldest_seconds", ',lane="normal"')]: "25x40",
      [relay("sluice_outbox_oldest_seconds", ',lane="events"')]: "3000x40",
    },
  },
  {
    alert: "SluiceOutboxOld",
    labels: { lane: "normal" },
    fires: { [relay("sluice_outbox_oldest_seconds", ',lane="normal"')]: "40x40" },
    quiet: { [relay("sluice_outbox_oldest_seconds", ',lane="normal"')]: "40x38 0 40" },
  },
  {
    alert: "SluiceEventsWaiting",
    fires: { [relay("sluice_outbox_oldest_seconds", ',lane="events"')]: "90x40" },
    quiet: { [relay("sluice_outbox_oldest_seconds", ',lane="events"')]: "50x40" },
  },
  {
    alert: "SluiceReportsWaiting",
    fires: { [relay("sluice_inbox_oldest_seconds")]: "90x40" },
    quiet: { [relay("sluice_inbox_oldest_seconds")]: "50x40" },
  },
  {
    alert: "SluiceReportsUnreadable",
    labels: { operator: "A" },
    fires: { [reports("A", "unreadable")]: "0x20 5x20" },
    quiet: { [reports("A", "unreadable")]: "5x40", [reports("A", "unmatched")]: "0+9x40" },
  },
  {
    alert: "SluiceReportsUnmatched",
    labels: { operator: "A" },
    fires: { [reports("A", "dropped")]: "0+5x120", [reports("A", "settled")]: "0+100x120" },
    quiet: { [reports("A", "dropped")]: "0+1x120", [reports("A", "settled")]: "0+1000x120" },
  },
  {
    alert: "SluiceWebhooksWaiting",
    fires: { [`sluice_webhook_waiting_seconds${of("webhook")}`]: "90x40" },
    quiet: { [`sluice_webhook_waiting_seconds${of("webhook")}`]: "50x40" },
  },
  {
    alert: "SluiceWebhookPaused",
    fires: { [`sluice_webhook_paused_total${of("webhook")}`]: "0x20 1x20" },
    quiet: { [`sluice_webhook_paused_total${of("webhook")}`]: "3x40" },
  },
  {
    alert: "SluicePartitionsUnread",
    labels: { role: "sender-normal" },
    fires: { [sender("sluice_sender_partitions_unread")]: "6x40" },
    quiet: { [sender("sluice_sender_partitions_unread")]: "0 6 0x38" },
  },
  {
    alert: "SluiceDeadLettersWaiting",
    labels: { source: "record" },
    fires: { [relay("sluice_dead_letters", ',source="record"')]: "1x180" },
    quiet: { [relay("sluice_dead_letters", ',source="record"')]: "1x100 0x80" },
    at: "80m",
  },
  {
    alert: "SluiceJobStuck",
    labels: { ...identity, role: "relay", name: "topics" },
    fires: { [relay("sluice_job_age_seconds", ',name="topics"')]: "400x40" },
    quiet: {
      [relay("sluice_job_age_seconds", ',name="topics"')]: "200x40",
      [relay("sluice_job_age_seconds", ',name="partitions"')]: "20000x40",
      [relay("sluice_job_age_seconds", ',name="sweep-normal"')]: "1000x40",
    },
  },
  {
    alert: "SluiceLagOld",
    labels: { topic: "express" },
    fires: { [relay("sluice_consumer_lag_seconds", ',topic="express"')]: "10x40" },
    quiet: {
      [relay("sluice_consumer_lag_seconds", ',topic="express"')]: "4x40",
      [relay("sluice_consumer_lag_seconds", ',topic="normal"')]: "100x40",
      [relay("sluice_consumer_lag_seconds", ',topic="status"')]: "1000x40",
    },
  },
  {
    alert: "SluiceLagOld",
    labels: { topic: "normal" },
    fires: { [relay("sluice_consumer_lag_seconds", ',topic="normal"')]: "130x40" },
    quiet: { [relay("sluice_consumer_lag_seconds", ',topic="normal"')]: "110x40" },
  },
  {
    alert: "SluiceLagGrowing",
    labels: { topic: "normal" },
    fires: { [relay("sluice_consumer_lag_seconds", ',topic="normal"')]: "0+25x80" },
    quiet: { [relay("sluice_consumer_lag_seconds", ',topic="normal"')]: "1000-5x80" },
    at: "40m",
  },
  {
    alert: "SluiceReportsStale",
    labels: { topic: "status" },
    fires: { [relay("sluice_consumer_lag_seconds", ',topic="status"')]: "90x40" },
    quiet: { [relay("sluice_consumer_lag_seconds", ',topic="status"')]: "50x40" },
  },
  {
    alert: "SluiceDeadLetters",
    fires: {
      [`sluice_sender_dead_total${of("sender-normal")}`]: "0x40",
      [relay("sluice_relay_dead_total", ',lane="normal"')]: "0x30 1x10",
    },
    quiet: {
      [`sluice_sender_dead_total${of("sender-normal")}`]: "7x40",
      [relay("sluice_relay_dead_total", ',lane="normal"')]: "0x40",
    },
  },
  {
    alert: "SluiceBadEvents",
    fires: { [relay("sluice_clickhouse_bad_records")]: "0x30 2x10" },
    quiet: { [relay("sluice_clickhouse_bad_records")]: "2x40" },
  },
  {
    alert: "SluiceRecordsLost",
    fires: { [relay("sluice_relay_swept_total")]: "0x30 12x10" },
    quiet: { [relay("sluice_relay_swept_total")]: "12x40" },
  },
  {
    alert: "SluiceSweepStalled",
    labels: { lane: "normal" },
    fires: { [relay("sluice_relay_sweep_age_seconds", ',lane="normal"')]: "1900x40" },
    quiet: {
      // Another relay is sweeping.
      [relay("sluice_relay_sweep_age_seconds", ',lane="normal"')]: "9000x40",
      'sluice_relay_sweep_age_seconds{instance="b:1",job="sluice",role="relay",lane="normal"}': "60x40",
    },
  },
];

const operators: AlertCase[] = [
  {
    alert: "SluiceNoOperator",
    labels: { role: "sender-normal" },
    fires: { [open("sender-normal", "A")]: "1x40", [open("sender-normal", "B")]: "1x40" },
    quiet: { [open("sender-normal", "A")]: "1x40", [open("sender-normal", "B")]: "0x40" },
  },
  {
    alert: "SluiceOperatorAvoided",
    labels: { operator: "A" },
    fires: { [open("sender-normal", "A")]: "1x40" },
    quiet: { [open("sender-normal", "A")]: "1x30 0 1x9" },
  },
  {
    alert: "SluiceOperatorFailing",
    labels: { operator: "A" },
    fires: { [submits("accepted")]: "0+90x40", [submits("lost")]: "0+10x40" },
    quiet: { [submits("accepted")]: "0+96x40", [submits("lost")]: "0+4x40", [submits("refused")]: "0+50x40" },
  },
  {
    alert: "SluiceOperatorRefusing",
    labels: { operator: "A" },
    fires: { [submits("accepted")]: "0+70x60", [submits("refused")]: "0+30x60" },
    quiet: { [submits("accepted")]: "0+85x60", [submits("refused")]: "0+15x60" },
    at: "30m",
  },
  {
    alert: "SluiceRoutesRefused",
    labels: { role: "sender-normal" },
    fires: { [`sluice_routes_reload_failed_total${of("sender-normal")}`]: "0x30 1x10" },
    quiet: { [`sluice_routes_reload_failed_total${of("sender-normal")}`]: "1x40" },
  },
  {
    alert: "SluiceRoutesDiffer",
    fires: { [uses("a:1", "11aa")]: "1x40", [uses("b:1", "22bb")]: "1x40" },
    quiet: {
      [uses("a:1", "11aa")]: "1x30 stale _x9",
      [uses("a:1", "22bb")]: "_x30 1x10",
      [uses("b:1", "11aa")]: "1x39 stale", // reads the new file within 5 min of a
      [uses("b:1", "22bb")]: "_x39 1x1",
    },
  },
  {
    alert: "SluiceOperatorSlow",
    labels: { operator: "A" },
    fires: { [took("1")]: "0+90x40", [took("2.5")]: "0+100x40", [took("+Inf")]: "0+100x40" },
    quiet: { [took("1")]: "0+96x40", [took("2.5")]: "0+100x40", [took("+Inf")]: "0+100x40" },
  },
  {
    alert: "SluiceUnknownGrowing",
    fires: { [relay("sluice_messages_unknown")]: "100+5x40" },
    quiet: { [relay("sluice_messages_unknown")]: "100+1x40" },
  },
  {
    alert: "SluiceExpressMissed",
    fires: { [express("made")]: "0+90x40", [express("missed")]: "0+2x40" },
    quiet: { [express("made")]: "0+300x40", [express("missed")]: "0+1x40", [express("failed")]: "0+50x40" },
  },
  {
    alert: "SluiceExpressSaturated",
    fires: { [saturated("refused")]: "0+1x40", [saturated("fallback")]: "0x40" },
    quiet: { [saturated("refused")]: "7x40", [saturated("fallback")]: "9x40" },
  },
];

/** Of one series of a relay. */
const ofRelay = (alert: string, series: string, fires: string, quiet: string): AlertCase => ({
  alert,
  fires: { [series]: fires },
  quiet: { [series]: quiet },
});
const anyDrift = relay("sluice_reconcile_drifts_total", ',invariant="never_negative"');
const books: AlertCase[] = [
  ofRelay("SluiceBooksDrift", relay("sluice_reconcile_cycle_drifts"), "1x40", "0x40"),
  // Long before the cycle that found it has ended.
  ofRelay("SluiceBooksDrift", anyDrift, "0x30 1x10", "0x40"),
  ofRelay("SluiceBooksUnchecked", relay("sluice_reconcile_cycle_age_seconds"), "7300x40", "7000x40"),
  ofRelay("SluiceBooksTooLarge", relay("sluice_reconcile_too_long_total"), "0x30 1x10", "1x40"),
  ofRelay("SluiceEventsResent", relay("sluice_reconcile_resent_total"), "0x30 500x10", "500x40"),
  ofRelay("SluicePartitionsMissing", relay("sluice_partitions_ahead"), "6x40", "7x40"),
];

const disk = '{instance="a:9100",job="node",mountpoint="/data",fstype="ext4"}';
const machines: AlertCase[] = [
  {
    alert: "SluiceDiskFull",
    labels: { instance: "a:9100", job: "node", mountpoint: "/data", fstype: "ext4" },
    fires: {
      [`node_filesystem_avail_bytes${disk}`]: "9x40",
      [`node_filesystem_size_bytes${disk}`]: "100x40",
    },
    quiet: {
      [`node_filesystem_avail_bytes${disk}`]: "11x40",
      [`node_filesystem_size_bytes${disk}`]: "100x40",
    },
  },
];

export const ALERT_CASES: readonly AlertCase[] = [
  ...processes,
  ...accepting,
  ...backlog,
  ...operators,
  ...books,
  ...machines,
];
