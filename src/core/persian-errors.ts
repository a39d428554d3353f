// The errors table in Persian; reasons and details are in persian-phrases.ts. Codes, types, field names and
// figures are the same in every language. Who throws an error needs to know of no language, and what doesn't
// fail pays nothing.
// Invariant: every code has a Persian title and meaning. A detail that has no phrase is answered with its
// code's meaning; a reason that has none (a library's) stays English.

import { type ErrorCode, type ErrorWords, type FieldError, sentenceOf, type SluiceError } from "./errors.ts";
import { FIELD_ERRORS_MAX } from "./limits.ts";
import { persianOf } from "./persian-phrases.ts";

/** An error in Persian. */
export function inPersian(error: SluiceError): ErrorWords {
  const { title, meaning } = PERSIAN[error.code];
  const errors = error.errors.map(({ field, reason }) => ({ field, reason: persianOf(reason) ?? reason }));
  const namesFields = errors.length > 0 && error.detail === sentenceOf(error.errors);
  return { title, detail: namesFields ? sentence(errors) : (persianOf(error.detail) ?? meaning), errors };
}

/** As sentenceOf makes it. */
function sentence(errors: readonly FieldError[]): string {
  const more = errors.length - NAMED_MAX;
  const named = errors.slice(0, NAMED_MAX).map(({ field, reason }) => `${field} ${reason}`);
  const others = errors.length < FIELD_ERRORS_MAX ? `${more} مورد دیگر` : `دست‌کم ${more} مورد دیگر`;
  return `${named.join("؛ ")}${more > 0 ? `؛ و ${others}` : ""}.`;
}

const NAMED_MAX = 3;

/** `meaning` stands for what errors.ts says of the code, as the detail of one answer. */
export const PERSIAN: Record<ErrorCode, { title: string; meaning: string }> = {
  malformed_request: {
    title: "درخواست نادرست",
    meaning:
      "یک سرایند دوبار آمده، یا پارامترهای نشانی درست کدگذاری نشده‌اند، چنان‌که errors می‌گوید؛ یا درخواست " +
      "HTTP معتبری نیست.",
  },
  malformed_json: { title: "JSON نادرست", meaning: "بدنه JSON نیست، یا بیش از حد تودرتو است." },
  body_not_utf8: { title: "بدنه UTF-8 نیست", meaning: "بدنه بایت‌هایی دارد که UTF-8 نیستند." },
  api_key_missing: {
    title: "کلید API نیامده است",
    meaning: "درخواست سرایند X-API-Key ندارد، یا این سرایند خالی است.",
  },
  api_key_invalid: {
    title: "کلید API نامعتبر",
    meaning: "این کلید ناشناخته است، باطل شده یا زمان آن گذشته است.",
  },
  admin_token_invalid: {
    title: "توکن مدیر نامعتبر",
    meaning: "Authorization: Bearer با توکن مدیر نیامده است، یا توکن ناشناخته است یا باطل شده است.",
  },
  signature_missing: {
    title: "امضا نیامده است",
    meaning:
      "این کلید فقط درخواست امضاشده می‌پذیرد، و X-Sluice-Timestamp، X-Sluice-Nonce یا X-Sluice-Signature " +
      "نیامده است.",
  },
  signature_invalid: {
    title: "امضای نامعتبر",
    meaning: "امضا از آنِ این درخواست نیست، یا یکی از سرایندهای آن درست نوشته نشده است.",
  },
  signature_expired: {
    title: "امضای منقضی",
    meaning:
      "زمان X-Sluice-Timestamp بیش از 300 ثانیه با زمان Date در پاسخ فاصله دارد. " +
      "درخواست را دوباره امضا کنید.",
  },
  signature_replayed: {
    title: "امضای تکراری",
    meaning:
      "این درخواست پیش‌تر رسیده است: X-Sluice-Nonce آن به کار رفته بود. با nonce دیگری دوباره امضا کنید، " +
      "و اگر پول جابه‌جا می‌کند با همان Idempotency-Key.",
  },
  spend_cap_reached: {
    title: "سقف هزینه پر شد",
    meaning:
      "کیف پول کافی است، اما سقف هزینهٔ روزانه یا ماهانهٔ مشتری (UTC) جا ندارد: cap نام سقف، limit و left " +
      "مبلغ‌های آن و resets_at زمان آغاز دورهٔ بعد است. مبلغی کسر نشد.",
  },
  customer_suspended: {
    title: "مشتری معلق است",
    meaning:
      "مشتری معلق است: تا گرداننده او را دوباره فعال نکند هیچ درخواستی از او پذیرفته نمی‌شود. آنچه در " +
      "صف است همچنان فرستاده می‌شود و پیام‌های زمان‌بندی‌شده منتظر می‌مانند.",
  },
  address_not_allowed: {
    title: "نشانی مجاز نیست",
    meaning: "مشتری یا کلید فهرستی از نشانی‌های مجاز دارد، و نشانی فرستنده در آن نیست.",
  },
  not_scheduled: {
    title: "دیگر زمان‌بندی‌شده نیست",
    meaning:
      "پیام دیگر scheduled نیست: در راه است، فرستاده شده یا پایان یافته است، چنان‌که message_status " +
      "می‌گوید. دیگر لغو یا تغییر آن ممکن نیست.",
  },
  insufficient_balance: {
    title: "موجودی ناکافی",
    meaning:
      "موجودی کیف پول برای آنچه خواسته شده کافی نیست. مبلغی کسر نشد؛ required و balance کمبود را می‌گویند.",
  },
  scope_missing: {
    title: "دسترسی کافی نیست",
    meaning: "کلید معتبر است، اما دسترسی لازم برای این مسیر را ندارد.",
  },
  report_refused: {
    title: "گزارش پذیرفته نشد",
    meaning: "گزارش تحویل با رمز، امضا یا نشانی‌ای که برای این اپراتور لازم است نیامده است. چیزی ذخیره نشد.",
  },
  not_found: { title: "پیدا نشد", meaning: "این مسیر وجود ندارد، یا این مشتری چنین چیزی ندارد." },
  method_not_allowed: {
    title: "متد مجاز نیست",
    meaning: "مسیر وجود دارد؛ سرایند Allow متدهای آن را فهرست می‌کند.",
  },
  topup_conflict: {
    title: "تعارض در شارژ",
    meaning: "این request_id پیش‌تر با مبلغ دیگری به کار رفته است.",
  },
  template_exists: {
    title: "قالب وجود دارد",
    meaning: "مشتری قالبی با همین id و متن دیگری دارد. متن تازه، نسخهٔ تازه‌ای از آن است.",
  },
  idempotency_in_progress: {
    title: "درخواست در حال انجام است",
    meaning:
      "درخواستی با همین Idempotency-Key هنوز در حال انجام است. به اندازهٔ Retry-After صبر و سپس تکرار کنید.",
  },
  version_conflict: {
    title: "تعارض نسخه",
    meaning: "پس از نسخه‌ای که If-Match می‌گوید تغییری رخ داده است. چیزی تغییر نکرد.",
  },
  payload_too_large: {
    title: "بدنه بیش از حد بزرگ است",
    meaning:
      "بدنه بزرگ‌تر از 64 KiB است؛ برای ارسال گروهی و گزارش تحویل بزرگ‌تر از 1 MiB. یا یک سطر NDJSON " +
      "بلندتر از 16 KiB است.",
  },
  uri_too_long: { title: "نشانی بیش از حد بلند است", meaning: "خط درخواست بلندتر از 8 KiB است." },
  unsupported_media_type: {
    title: "نوع محتوا پشتیبانی نمی‌شود",
    meaning:
      "Content-Type: application/json را (یا application/x-ndjson را، جایی که پذیرفته می‌شود) با UTF-8 و " +
      "بدون Content-Encoding بفرستید.",
  },
  validation_failed: {
    title: "درخواست پذیرفته نشد",
    meaning: "errors فیلدهای ردشده را، تا 50 مورد نخست، با دلیل نام می‌برد.",
  },
  idempotency_key_reused: {
    title: "Idempotency-Key تکراری",
    meaning: "این Idempotency-Key در 24 ساعت گذشته با بدنهٔ دیگری به کار رفته است. کاری انجام نشد.",
  },
  rate_limited: {
    title: "بیش از حد مجاز در واحد زمان",
    meaning:
      "سهم این مشتری از بخش پیامک یا درخواست در هر دقیقه تمام شده است، چنان‌که RateLimit می‌گوید؛ یا " +
      "بررسی همین حساب در جریان است. به اندازهٔ Retry-After صبر کنید.",
  },
  otp_wrong: {
    title: "کد نادرست است",
    meaning: "این کد همان نیست که فرستاده شد. tries_left می‌گوید چند بار دیگر می‌توان امتحان کرد.",
  },
  otp_over: {
    title: "کد پایان یافته است",
    meaning:
      "این کد را دیگر نمی‌توان تأیید کرد: otp_status می‌گوید تأیید شده (verified)، با کدهای نادرست قفل شده " +
      "(locked) یا زمان آن گذشته است (expired). کد تازه‌ای بفرستید.",
  },
  otp_phone_limited: {
    title: "کد بیش از حد به این شماره",
    meaning:
      "به این شماره کمی پیش کدی فرستاده شد، یا در یک ساعت به تعداد مجاز. چیزی ذخیره یا کسر نشد. به اندازهٔ " +
      "Retry-After صبر کنید.",
  },
  otp_customer_limited: {
    title: "کد بیش از حد",
    meaning:
      "مشتری در یک ساعت به تعداد مجاز کد فرستاده است. چیزی ذخیره یا کسر نشد. به اندازهٔ Retry-After " +
      "صبر کنید.",
  },
  otp_pumping_suspected: {
    title: "گمان سوءاستفاده از ارسال کد",
    meaning:
      "شاید کسی برای هزینهٔ آن کد می‌فرستد: کدهای زیادی به شماره‌های هم‌آغاز رفته، یا کدهای کمی از آن‌ها " +
      "تأیید شده است. چیزی ذخیره یا کسر نشد. به اندازهٔ Retry-After صبر کنید.",
  },
  headers_too_large: { title: "سرایندها بیش از حد بزرگ‌اند", meaning: "یک سرایند بزرگ‌تر از 8 KiB است." },
  internal: {
    title: "خطای داخلی",
    meaning: "خطایی پیش‌بینی‌نشده رخ داد؛ با همین request_id ثبت شده است.",
  },
  overloaded: {
    title: "بار بیش از حد",
    meaning: "درخواست‌های زیادی در انتظارند، از همهٔ مشتریان یا از همین مشتری. چیزی ذخیره یا کسر نشد.",
  },
  lane_saturated: {
    title: "مسیر اکسپرس پر است",
    meaning:
      "مسیر اکسپرس آن‌قدر کند است، یا اپراتورهای آن آن‌قدر کم می‌پذیرند، که به بلندترین وعده هم " +
      "نمی‌توان عمل کرد: could_promise_s می‌گوید چه وعده‌ای ممکن است، و promise_max_s چه وعده‌ای مجاز. " +
      "چیزی ذخیره یا کسر نشد. به اندازهٔ Retry-After صبر کنید، یا با fallback برابر normal بفرستید.",
  },
  outcome_unknown: {
    title: "نتیجه نامعلوم است",
    meaning:
      "اتصال هنگام ثبت قطع شد. با همان Idempotency-Key یا request_id تکرار کنید؛ بدون آن ممکن است پیام دو " +
      "بار ذخیره شود.",
  },
  unavailable: {
    title: "در دسترس نیست",
    meaning: "این سرویس اکنون نمی‌تواند پاسخ دهد. چیزی ذخیره یا کسر نشد.",
  },
  credit_elsewhere: {
    title: "اعتبار نزد پردازهٔ دیگری است",
    meaning:
      "موجودی کافی است، اما بخشی از آن نزد پردازهٔ دیگری است و هنوز برنگشته است. چیزی ذخیره یا کسر نشد.",
  },
  check_too_long: {
    title: "بررسی بیش از حد طول کشید",
    meaning:
      "این دفترها بزرگ‌تر از آن‌اند که در یک درخواست بررسی شوند؛ تکرار درخواست سودی ندارد. گرداننده " +
      "می‌تواند آن‌ها را با ./sluice reconcile بررسی کند.",
  },
  reports_unavailable: {
    title: "گزارش‌ها در دسترس نیستند",
    meaning: "پایگاه دادهٔ گزارش‌ها در دسترس نیست.",
  },
};
