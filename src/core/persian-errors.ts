// The errors table and the reasons of refused fields in Persian. Codes, types, field names and figures are
// the same in every language. A phrase is found by its English text, as in gettext, when a caller wants it:
// who throws an error needs to know of no language, and what doesn't fail pays nothing.
// Invariant: every code has a Persian title and meaning. A detail that has no phrase is answered with its
// code's meaning; a reason that has none (a library's) stays English.

import { type ErrorCode, type ErrorWords, type FieldError, sentenceOf, type SluiceError } from "./errors.ts";
import { OPTED_OUT_REASON } from "./opt-out.ts";
import { PHONE_REASONS } from "./phone.ts";

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
  return `${named.join("؛ ")}${more > 0 ? `؛ و ${more} مورد دیگر` : ""}.`;
}

const NAMED_MAX = 3;

/** The phrase in Persian; null if the table doesn't have it. */
export function persianOf(english: string): string | null {
  if (Object.hasOwn(PHRASES, english)) return PHRASES[english] as string;
  for (const { pattern, persian } of patterns()) {
    const values = pattern.exec(english)?.slice(1);
    if (values !== undefined) return persian.replaceAll("{}", () => values.shift() ?? "");
  }
  return null;
}

type Pattern = { pattern: RegExp; persian: string };
let compiled: Pattern[] | null = null;

/** Phrases with a place `{}` for a figure or name, in the same order in both languages. */
const patterns = (): Pattern[] =>
  (compiled ??= Object.entries(PHRASES)
    .filter(([english]) => english.includes("{}"))
    .map(([english, persian]) => ({
      pattern: new RegExp(`^${english.split("{}").map(RegExp.escape).join("(.+)")}$`, "s"),
      persian,
    })));

/** `meaning` stands for what errors.ts says of the code, as the detail of one answer. */
export const PERSIAN: Record<ErrorCode, { title: string; meaning: string }> = {
  malformed_request: {
    title: "درخواست نادرست",
    meaning: "یک سرایند دوبار آمده، یا پارامترهای نشانی درست کدگذاری نشده‌اند، یا درخواست HTTP معتبری نیست.",
  },
  malformed_json: { title: "JSON نادرست", meaning: "بدنه JSON نیست، یا بیش از حد تودرتو است." },
  body_not_utf8: { title: "بدنه UTF-8 نیست", meaning: "بدنه بایت‌هایی دارد که UTF-8 نیستند." },
  api_key_missing: {
    title: "کلید API نیامده است",
    meaning: "درخواست سرایند X-API-Key ندارد، یا این سرایند خالی است.",
  },
  api_key_invalid: { title: "کلید API نامعتبر", meaning: "این کلید ناشناخته است یا باطل شده است." },
  admin_token_invalid: {
    title: "توکن مدیر نامعتبر",
    meaning: "Authorization: Bearer با توکن مدیر نیامده است، یا توکن ناشناخته است یا باطل شده است.",
  },
  signature_missing: {
    title: "امضا نیامده است",
    meaning: "این کلید فقط درخواست امضاشده می‌پذیرد، و یکی از سرایندهای امضا نیامده است.",
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
    meaning: "بدنه بزرگ‌تر از 64 KiB است؛ برای ارسال گروهی و گزارش تحویل بزرگ‌تر از 1 MiB.",
  },
  uri_too_long: { title: "نشانی بیش از حد بلند است", meaning: "خط درخواست بلندتر از 8 KiB است." },
  unsupported_media_type: {
    title: "نوع محتوا پشتیبانی نمی‌شود",
    meaning: "Content-Type: application/json را با UTF-8 و بدون Content-Encoding بفرستید.",
  },
  validation_failed: {
    title: "درخواست پذیرفته نشد",
    meaning: "errors هر فیلدی را که رد شده است، با دلیل آن نام می‌برد.",
  },
  idempotency_key_reused: {
    title: "Idempotency-Key تکراری",
    meaning: "این Idempotency-Key در 24 ساعت گذشته با بدنهٔ دیگری به کار رفته است. کاری انجام نشد.",
  },
  rate_limited: {
    title: "بیش از حد مجاز در واحد زمان",
    meaning:
      "سهم این مشتری از بخش پیامک یا درخواست در هر دقیقه تمام شده است، یا بررسی همین حساب در " +
      "جریان است. به اندازهٔ Retry-After صبر کنید.",
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
      "مسیر اکسپرس آن‌قدر کند است که به بلندترین وعده هم نمی‌توان عمل کرد. چیزی ذخیره یا کسر نشد. به " +
      "اندازهٔ Retry-After صبر کنید، یا با fallback برابر normal بفرستید.",
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
    meaning: "این دفترها بزرگ‌تر از آن‌اند که در یک درخواست بررسی شوند.",
  },
  reports_unavailable: {
    title: "گزارش‌ها در دسترس نیستند",
    meaning: "پایگاه دادهٔ گزارش‌ها در دسترس نیست.",
  },
};

/** Reasons complete a sentence that begins with the field's name; details are sentences. */
export const PHRASES: Readonly<Record<string, string>> = {
  // ---- reasons: the shape of a body ----
  "must be a JSON object": "باید یک شیء JSON باشد",
  "must be a whole number": "باید عدد صحیح باشد",
  "must be a string": "باید رشته باشد",
  "must be a boolean": "باید true یا false باشد",
  "must be an array": "باید آرایه باشد",
  "must be one of {}": "باید یکی از این‌ها باشد: {}",
  "must be at least {}": "باید دست‌کم {} باشد",
  "must be at most {} characters": "باید حداکثر {} نویسه باشد",
  "must be at most {} before `to`, or now, if the interval is {}":
    "باید حداکثر {} پیش از to (یا اکنون) باشد، وقتی بازه {} است",
  "must be at most {}": "باید حداکثر {} باشد",
  "must have at most {} characters": "باید حداکثر {} نویسه داشته باشد",
  "must have at least {} characters": "باید دست‌کم {} نویسه داشته باشد",
  "must have at most {} entries": "باید حداکثر {} عضو داشته باشد",
  "must not be empty": "نباید خالی باشد",
  "has a member that it must not have": "عضوی دارد که نباید داشته باشد",
  "is required": "لازم است",
  "is not supported yet": "هنوز پشتیبانی نمی‌شود",
  "is not a field of this request ({})": "فیلدی از این درخواست نیست ({})",
  "is given twice": "دوبار آمده است",
  "is a number that can't be stored exactly as written":
    "عددی است که نمی‌توان آن را دقیقاً همان‌طور که نوشته شده ذخیره کرد",
  // ---- reasons: headers and queries ----
  "must be given once, and without commas": "باید یک بار و بدون ویرگول بیاید",
  "must be given once": "باید یک بار بیاید",
  "is not a parameter of this route": "پارامتری از این مسیر نیست",
  "must be percent-encoded UTF-8 (a percent sign itself is %25)":
    "باید UTF-8 با کدگذاری درصدی باشد (خود علامت درصد %25 است)",
  ["must have 1 to {} printable ASCII characters other than comma, quote and backslash; " +
    "quotes around all of it are read over"]:
    "باید 1 تا {} نویسهٔ چاپی ASCII جز ویرگول، گیومه و بک‌اسلش داشته باشد؛ گیومهٔ دو سر آن خوانده نمی‌شود",
  "must be a message id, as a send answers it": "باید شناسهٔ پیام باشد، همان‌طور که در پاسخ ارسال می‌آید",
  "must be none, or some of {}, each once, with commas between":
    "باید none باشد، یا چند مورد از {}، هر یک یک بار و با ویرگول میان آن‌ها",
  "must be a time from 1970 on, such as 2026-01-31T09:30:00Z":
    "باید زمانی از سال 1970 به بعد باشد، مانند 2026-01-31T09:30:00Z",
  "must be a whole number from 1 to {}": "باید عددی صحیح از 1 تا {} باشد",
  "must be the next_cursor of a page with the same filters": "باید next_cursor صفحه‌ای با همین فیلترها باشد",
  "must be after 1970-01-01T00:00:00Z": "باید پس از 1970-01-01T00:00:00Z باشد",
  "must be in the past, unless `to` is given": "باید در گذشته باشد، مگر این‌که to داده شود",
  "must be before `to`": "باید پیش از to باشد",
  "or `state` is required": "یا state لازم است",
  // ---- reasons: messages ----
  [PHONE_REASONS.notTyped]:
    "باید شمارهٔ تلفن باشد: رقم‌ها، شاید پس از +، و میان آن‌ها تنها فاصله، خط تیره، نقطه، ممیز و پرانتز",
  [PHONE_REASONS.extension]: "نباید شمارهٔ داخلی داشته باشد: به داخلی نمی‌توان پیام فرستاد",
  [PHONE_REASONS.invalid]: "شمارهٔ تلفن معتبری نیست",
  [OPTED_OUT_REASON]: "دریافت پیام از این فرستنده را لغو کرده است",
  "must not contain NUL (U+0000)": "نباید NUL (U+0000) داشته باشد",
  "must not contain a lone surrogate": "نباید نیمهٔ تنهای یک جفت جانشین (surrogate) داشته باشد",
  "must not contain control characters": "نباید نویسهٔ کنترلی داشته باشد",
  "needs {} parts; at most {} are allowed": "به {} بخش نیاز دارد؛ حداکثر {} بخش مجاز است",
  "needs more than {} parts": "به بیش از {} بخش نیاز دارد",
  "must be a number of at most {} digits": "باید شماره‌ای با حداکثر {} رقم باشد",
  "must be a number, or a name in the GSM 7-bit alphabet": "باید شماره باشد، یا نامی در الفبای ۷بیتی GSM",
  "must be a number, or a name of at most {} characters (^{}\\[~]|€ count two)":
    "باید شماره باشد، یا نامی با حداکثر {} نویسه (^{}\\[~]|€ دو تا شمرده می‌شوند)",
  "must be a customer's id": "باید شناسهٔ یک مشتری باشد",
  "must be a time in the future": "باید زمانی در آینده باشد",
  "must be refused together with normal": "باید همراه با normal رد شود (refused)",
  "must not be blank": "نباید تنها فاصله باشد",
  "is none of the sender ids that the customer may use": "از شناسه‌های فرستنده‌ای که این مشتری مجاز است نیست",
  "must last {} s beyond the recipient's quiet hours, which end at {}":
    "باید دست‌کم {} ثانیه پس از پایان ساعت‌های سکوت گیرنده، یعنی {}، ادامه داشته باشد",
  "is only for express": "تنها برای express است",
  "needs a webhook secret, which this customer has not": "به رمز وب‌هوک نیاز دارد که این مشتری ندارد",
  "must be an absolute URL in ASCII, such as https://example.com/sms":
    "باید نشانی کامل و ASCII باشد، مانند https://example.com/sms",
  "must begin with https://": "باید با https:// آغاز شود",
  "must not contain a user name or password": "نباید نام کاربر یا گذرواژه داشته باشد",
  "must not contain a fragment": "نباید بخش # داشته باشد",
  "has too long a host name": "نام میزبان آن بیش از حد بلند است",
  "must have port {}, or one from {}": "باید درگاه {}، یا درگاهی از {} به بالا داشته باشد",
  "must not lead to an address that isn't public": "نباید به نشانی‌ای برسد که عمومی نیست",
  "must have a host name of the public DNS": "باید نام میزبانی از DNS عمومی داشته باشد",
  // ---- reasons: codes ----
  "must have {code} exactly once": "باید {code} را درست یک بار داشته باشد",
  "must be {} to {} digits": "باید {} تا {} رقم باشد",
  // ---- reasons: batches and money ----
  "is missing": "نیامده است",
  "is not a parameter of the text": "پارامتری از متن نیست",
  "is that of message {} of this batch": "همان است که پیام {} این گروه دارد",
  "can't be given together with messages": "نمی‌تواند همراه messages بیاید",
  "is required, or phones and text": "لازم است، یا phones و text",
  "is required, or {}": "لازم است، یا {}",
  "is required together with phones": "همراه phones لازم است",
  "can't be given together with {}": "نمی‌تواند همراه {} بیاید",
  "is only for a template": "تنها برای قالب است",
  "is no template of this customer": "قالبی از این مشتری نیست",
  "is no version of this template": "نسخه‌ای از این قالب نیست",
  "must be letters, digits, dots, dashes and underscores, and begin with a letter or digit":
    "باید از حرف‌های لاتین، رقم‌ها، نقطه، خط تیره و زیرخط باشد و با حرف یا رقم آغاز شود",
  "is one more than the {} templates that a customer may have":
    "بیش از {} قالبی است که یک مشتری می‌تواند داشته باشد",
  "is one more than the {} versions that a template may have":
    "بیش از {} نسخه‌ای است که یک قالب می‌تواند داشته باشد",
  "must have one entry for each of phones": "باید برای هر یک از phones یک عضو داشته باشد",
  "is too large: a wallet can hold at most {}": "بیش از حد بزرگ است: کیف پول حداکثر {} جا دارد",
  "can't be given together with send_at": "نمی‌تواند همراه send_at بیاید",
  "can't be given together with format": "نمی‌تواند همراه format بیاید",
  "must be a time that exists, from 1970 on, by RFC 3339":
    "باید زمانی موجود از 1970 به بعد و به شکل RFC 3339 باشد",
  "must be RFC 3339 with seconds and an offset, such as 2026-01-31T09:30:00+03:30":
    "باید به شکل RFC 3339 با ثانیه و اختلاف ساعت باشد، مانند 2026-01-31T09:30:00+03:30",
  "is over by more than {} s": "بیش از {} ثانیه از آن گذشته است",
  "must be {}, or {} for both": "باید {} باشد، یا {} برای هر دو",
  "must be {}, the same after a + for that much more than normal, or {} for both":
    "باید {} باشد، یا همان پس از + یعنی به همان اندازه بیش از عادی، یا {} برای هر دو",
  "must be the header {}": "باید سرستون {} باشد",
  "has {} rates; at most {} are allowed": "{} نرخ دارد؛ حداکثر {} نرخ مجاز است",
  "has no rates": "نرخی ندارد",
  // ---- details ----
  "X-Sluice-Timestamp is {}.": "مقدار X-Sluice-Timestamp این است: {}.",
  "This key takes signed requests: {} is missing.": "این کلید درخواست امضاشده می‌پذیرد: {} نیامده است.",
  "The address {} is not allowed.": "نشانی {} مجاز نیست.",
  "A line has at most {} KiB.": "هر سطر حداکثر {} کیبی‌بایت دارد.",
  "The message is {}; only a scheduled one can be canceled or changed.":
    "وضعیت پیام {} است؛ تنها پیام scheduled را می‌توان لغو کرد یا تغییر داد.",
  "This costs {}; the wallet holds {}.": "هزینهٔ این درخواست {} است؛ کیف پول {} دارد.",
  "Nothing less than {} s could be promised for an express message now; more than {} s is not promised.":
    "اکنون برای پیام اکسپرس کمتر از {} ثانیه نمی‌توان وعده داد؛ بیش از {} ثانیه وعده داده نمی‌شود.",
  "This route needs the scope {}.": "این مسیر به دسترسی {} نیاز دارد.",
  "The process is stopping.": "این پردازه در حال توقف است.",
  "No such route.": "چنین مسیری وجود ندارد.",
  "No such customer.": "چنین مشتری‌ای وجود ندارد.",
  "No such key.": "چنین کلیدی وجود ندارد.",
  "The routes file can't be replaced ({}).": "پروندهٔ مسیرها را نمی‌توان جایگزین کرد ({}).",
  "The routes file {}.": "پروندهٔ مسیرها را نمی‌توان خواند: {}.",
  "The routes file's version is {} now. Nothing was changed.":
    "نسخهٔ پروندهٔ مسیرها اکنون {} است. چیزی تغییر نکرد.",
  "Another change of the routes file is under way.": "تغییر دیگری در پروندهٔ مسیرها در حال انجام است.",
  "The code is {}; it can't be verified any more.": "وضعیت کد {} است؛ دیگر نمی‌توان آن را تأیید کرد.",
  "The code is wrong; {} tries are left.": "کد نادرست است؛ {} بار دیگر می‌توان امتحان کرد.",
  "A code was sent to this number just now.": "همین حالا کدی به این شماره فرستاده شد.",
  "This number was sent as many codes as are allowed.": "به این شماره به تعداد مجاز کد فرستاده شده است.",
  "Too many codes went to numbers that begin alike.": "کدهای زیادی به شماره‌های هم‌آغاز رفته است.",
  "Too few codes to such numbers are verified.": "از کدهای چنین شماره‌هایی کم تأیید می‌شود.",
  "No such code, or a newer one has replaced it.": "چنین کدی وجود ندارد، یا کد تازه‌تری جای آن را گرفته است.",
  "This installation sends no codes: it has no secret for them.":
    "این سامانه کد نمی‌فرستد: رمزی برای آن ندارد.",
  "Whether the code was verified is not known. Ask again: if it is then over and verified, it was.":
    "معلوم نیست که کد تأیید شد یا نه. دوباره بپرسید: اگر آن‌گاه پایان‌یافته و verified باشد، تأیید شده بود.",
  "No such template.": "چنین قالبی وجود ندارد.",
  "No such message.": "چنین پیامی وجود ندارد.",
  "No such file.": "چنین پرونده‌ای وجود ندارد.",
  "No such delivery; they are kept for 7 days.": "چنین تحویلی وجود ندارد؛ تحویل‌ها 7 روز نگه‌داشته می‌شوند.",
  "There is no such operator.": "چنین اپراتوری وجود ندارد.",
  "Customer {} has no webhook.": "مشتری {} وب‌هوک ندارد.",
  "The body ended early.": "بدنه پیش از پایان قطع شد.",
  "The body is nested deeper than {} levels.": "بدنه بیش از {} سطح تودرتو است.",
  "The body is not valid JSON.": "بدنه JSON معتبری نیست.",
  "The body must be UTF-8.": "بدنه باید UTF-8 باشد.",
  "The body must be sent without a Content-Encoding such as gzip.":
    "بدنه باید بدون Content-Encoding مانند gzip فرستاده شود.",
  "This request_id was already used with the amount {}.": "این request_id پیش‌تر با مبلغ {} به کار رفته است.",
  "This machine's clock is wrong. Nothing was stored; another process may take the message.":
    "ساعت این دستگاه نادرست است. چیزی ذخیره نشد؛ شاید پردازهٔ دیگری پیام را بپذیرد.",
  "Too many reports wait to be stored.": "گزارش‌های زیادی در انتظار ذخیره‌شدن‌اند.",
  "A check of these books is running, or ended only a moment ago.":
    "بررسی این دفترها در حال انجام است، یا همین حالا پایان یافته است.",
  "The maximum number of checks is already running.": "بیشترین تعداد بررسی هم‌زمان در حال انجام است.",
};
