// Loaded before a process: its wall clock is SLUICE_TEST_AHEAD_MS ahead, as on a machine of its own.

const { now } = Date;
const aheadMs = Number(process.env.SLUICE_TEST_AHEAD_MS);
Date.now = () => now() + aheadMs;
