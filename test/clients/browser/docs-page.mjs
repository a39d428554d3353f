// Sends a message as a reader of /docs does, in Chromium: `node docs-page.mjs FOLDER URL KEY`, FOLDER being
// where scripts/clients.sh has installed the packages beside this file. Prints as JSON what the page showed.
// The Chromium is a build for servers (npm @sparticuz/chromium), as browsers are no packages of npm's; it
// brings the libraries that a server lacks, if it takes itself to be where it was made for.

import { createRequire } from "node:module";
import { join } from "node:path";

const [folder = "", url = "", key = ""] = process.argv.slice(2);
process.env.TMPDIR = folder; // where it is unpacked, once
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs22.x";
const require = createRequire(join(folder, "package.json"));
const { default: chromium } = require("@sparticuz/chromium");
const puppeteer = require("puppeteer-core");

const WAIT_MS = 60_000;

const browser = await puppeteer.launch({
  args: ["--no-sandbox", "--headless=shell", "--disable-gpu", "--no-zygote", "--disable-dev-shm-usage"],
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const asked = new Set();
  const faults = [];
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:") asked.add(origin);
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (line) => line.type() === "error" && faults.push(line.text()));

  await page.goto(`${url}/docs`);
  const press = async (selector) => {
    const button = await page.waitForSelector(selector, { visible: true });
    await button.evaluate((element) => element.click());
  };
  await press(".btn.authorize");
  await (await page.waitForSelector(".auth-container input", { visible: true })).type(key);
  await press(".btn.modal-btn.auth.authorize");
  await press(".btn.modal-btn.auth.btn-done");
  const operation = '.opblock:has([data-path="/v1/sms/send"])';
  await press(`${operation} .opblock-summary-control`);
  await press(`${operation} .try-out__btn`);
  await press(`${operation} .execute`);
  const shown = (selector) => page.$eval(selector, (element) => element.textContent?.trim() ?? "");
  const answer = `${operation} .live-responses-table tbody`;
  await page.waitForSelector(`${answer} .response-col_status`);
  const status = await shown(`${answer} .response-col_status`);
  const body = await shown(`${answer} .response-col_description .microlight, ${answer} .response-col_description pre`);
  const operations = await page.$$eval(".opblock", (found) => found.length);
  console.log(JSON.stringify({ operations, status, body, asked: [...asked], faults }));
} finally {
  await browser.close();
}
