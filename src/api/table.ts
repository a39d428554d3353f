// The API: every route, in the order of the reference. Anything else is a 404.

import { type BatchDeps, createBatches } from "./routes/batches.ts";
import { createDlrRoutes, type DlrDeps } from "./routes/dlr.ts";
import { createDocs } from "./routes/docs.ts";
import { createHealth } from "./routes/health.ts";
import { createMessage } from "./routes/message.ts";
import {
  createMessageCancel,
  createMessageChange,
  type MessageScheduleDeps,
} from "./routes/message-schedule.ts";
import { createMessages } from "./routes/messages.ts";
import { createMessagesReport } from "./routes/messages-report.ts";
import { createMetricsRoute } from "./routes/metrics.ts";
import { createOptOutRoutes, type OptOutDeps } from "./routes/opt-outs.ts";
import { createOpenApi } from "./routes/openapi.ts";
import { createOtpSend, createOtpVerify, type OtpRouteDeps } from "./routes/otp.ts";
import { createPreview, type PreviewDeps } from "./routes/preview.ts";
import { createReady } from "./routes/ready.ts";
import { createSend, type SendDeps } from "./routes/send.ts";
import { createTemplateRoutes } from "./routes/templates.ts";
import { createTopup, type TopupDeps } from "./routes/topup.ts";
import { createUsageReport } from "./routes/usage-report.ts";
import { createWallet } from "./routes/wallet.ts";
import { createWalletLedger } from "./routes/wallet-ledger.ts";
import { createReconcileRoute, type ReconcileRouteDeps } from "./routes/wallet-reconcile.ts";
import { createWebhook } from "./routes/webhook.ts";
import { createWebhookDeliveries } from "./routes/webhook-deliveries.ts";
import { createWebhookReplay, type ReplayDeps } from "./routes/webhook-replay.ts";
import { createWebhookReplays } from "./routes/webhook-replays.ts";
import type { Route } from "./route.ts";
import { createStreams } from "./streams.ts";
import type { MessageDeps } from "../reports/messages-list.ts";
import type { ReportDeps } from "../reports/messages-report.ts";
import type { Readiness } from "../platform/health.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { OfCustomer } from "../platform/pool-shares.ts";

export type ApiDeps = SendDeps &
  BatchDeps &
  PreviewDeps &
  OtpRouteDeps &
  TopupDeps &
  ReplayDeps &
  OptOutDeps &
  MessageScheduleDeps & {
    /** For routes that only read. */
    reads: OfCustomer<MessageDeps & { now: () => number }>;
    reports: ReportDeps;
    reconcile: ReconcileRouteDeps;
    metrics: Metrics;
    dlr: DlrDeps;
    ready: () => Readiness;
  };

export function createRoutes(deps: ApiDeps): Route[] {
  const streams = createStreams();
  const routes: Route[] = [
    createSend(deps),
    createBatches(deps, streams),
    createPreview(deps),
    ...createTemplateRoutes(deps),
    createOtpSend(deps),
    createOtpVerify(deps),
    createTopup(deps),
    createWallet(deps.reads),
    createWalletLedger(deps.reads, streams),
    createReconcileRoute(deps.reconcile),
    createMessages(deps.reads),
    createMessage(deps.reads),
    createMessageCancel(deps),
    createMessageChange(deps),
    createMessagesReport(deps.reports, streams),
    createUsageReport(deps.reports, streams),
    createWebhook(deps.reads),
    createWebhookDeliveries(deps.reads),
    createWebhookReplays(deps),
    createWebhookReplay(deps),
    ...createOptOutRoutes(deps),
    ...createDlrRoutes(deps.dlr),
    createHealth(),
    createReady(deps),
    createMetricsRoute(deps),
    createOpenApi(() => routes),
    ...createDocs(),
  ];
  return routes;
}

/** The same routes without what they work with: to read what they declare, not to run them. */
export function declaredRoutes(): Route[] {
  const deps = { metrics: { counter: () => () => undefined }, reconcile: {}, keys: {} };
  return createRoutes(deps as unknown as ApiDeps);
}
