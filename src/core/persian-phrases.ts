// The reasons of refused fields, and details of errors, in Persian. A phrase is found by its English text, as
// in gettext, when a caller wants it.
// Invariant: of phrases that match, the first in the table counts, so one that says more stands before the
// loose ones. What fills a place stays as it is: a figure or a name, never words.

import { OPTED_OUT_REASON } from "./opt-out.ts";
import { PHONE_REASONS } from "./phone.ts";
import { DESTINATION_REFUSED } from "./price-plan.ts";

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

/** Reasons complete a sentence that begins with the field's name; details are sentences. */
export const PHRASES: Readonly<Record<string, string>> = {
  // ---- reasons: the shape of a body ----
  "must be a JSON object": "باید یک شیء JSON باشد",
  "must be a whole number": "باید عدد صحیح باشد",
  "must be a string": "باید رشته باشد",
  "must be a boolean": "باید true یا false باشد",
  "must be an array": "باید آرایه باشد",
  "must be an operator's name": "باید نام یک اپراتور باشد",
  "must be one of {}": "باید یکی از این‌ها باشد: {}",
  "must be at least {}": "باید دست‌کم {} باشد",
  "must be at most {} characters": "باید حداکثر {} نویسه باشد",
  "must be at most {} day before `to`, or now, if the interval is {}":
    "باید حداکثر {} روز پیش از to (یا اکنون) باشد، وقتی بازه {} است",
  "must be at most {} days before `to`, or now, if the interval is {}":
    "باید حداکثر {} روز پیش از to (یا اکنون) باشد، وقتی بازه {} است",
  "must be at most {} days after the message is accepted": "باید حداکثر {} روز پس از پذیرش پیام باشد",
  "must be at most {}": "باید حداکثر {} باشد",
  "must have at most {} characters": "باید حداکثر {} نویسه داشته باشد",
  "must have at least {} characters": "باید دست‌کم {} نویسه داشته باشد",
  "must have 1 to {} entries": "باید 1 تا {} عضو داشته باشد",
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
  "must have 1 to {} characters": "باید 1 تا {} نویسه داشته باشد",
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
  [DESTINATION_REFUSED]: "به مقصدی می‌رود که تعرفهٔ این مشتری آن را نمی‌پذیرد",
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
  "must have a line for each message": "باید برای هر پیام یک سطر داشته باشد",
  "must have one entry for each of phones": "باید برای هر یک از phones یک عضو داشته باشد",
  "is too large: a wallet can hold at most {}": "بیش از حد بزرگ است: کیف پول حداکثر {} جا دارد",
  "can't be given together with send_at": "نمی‌تواند همراه send_at بیاید",
  "can't be given together with format": "نمی‌تواند همراه format بیاید",
  "must be a time that exists, from 1970 on, by RFC 3339":
    "باید زمانی موجود از 1970 به بعد و به شکل RFC 3339 باشد",
  "must be RFC 3339 with seconds and an offset, such as 2026-01-31T09:30:00+03:30":
    "باید به شکل RFC 3339 با ثانیه و اختلاف ساعت باشد، مانند 2026-01-31T09:30:00+03:30",
  "is over by more than {} s": "بیش از {} ثانیه از آن گذشته است",
  "must be {}, the same after a + for that much more than normal, or {} for both":
    "باید {} باشد، یا همان پس از + یعنی به همان اندازه بیش از عادی، یا {} برای هر دو",
  "must be {}, or {} for both": "باید {} باشد، یا {} برای هر دو",
  "must be the header {}": "باید سرستون {} باشد",
  "has {} rates; at most {} are allowed": "{} نرخ دارد؛ حداکثر {} نرخ مجاز است",
  "has no rates": "نرخی ندارد",
  // ---- reasons: what whoever runs Sluice sets for customers ----
  "is neither an address nor a CIDR block such as 192.0.2.0/24 or 2001:db8::/32":
    "نه نشانی است و نه بلوک CIDR، مانند 192.0.2.0/24 یا 2001:db8::/32",
  "already has {} live keys: revoke one first": "هم‌اکنون {} کلید معتبر دارد: نخست یکی را باطل کنید",
  "is the plan of {} customers: give them another one first":
    "تعرفهٔ {} مشتری است: نخست تعرفهٔ دیگری به آن‌ها بدهید",
  "would have {} rates; at most {} are allowed": "{} نرخ می‌داشت؛ حداکثر {} نرخ مجاز است",
  "would have {} entries; at most {} are allowed": "{} عضو می‌داشت؛ حداکثر {} عضو مجاز است",
  "has {} quiet hours already": "هم‌اکنون {} بازهٔ ساعت‌های سکوت دارد",
  "is still being changed: the secret before it is in use (--now ends both)":
    "هنوز در حال تغییر است: رمز پیش از آن به کار می‌رود (--now به هر دو پایان می‌دهد)",
  "must be one word of at most {} characters": "باید یک واژه با حداکثر {} نویسه باشد",
  "must not be a word by which phones opt out or in":
    "نباید واژه‌ای باشد که گیرنده با آن دریافت پیام را لغو یا دوباره آغاز می‌کند",
  // ---- details ----
  "X-Sluice-Timestamp is {} s ahead of the server's clock.":
    "زمان X-Sluice-Timestamp به اندازهٔ {} ثانیه از ساعت سرور جلوتر است.",
  "X-Sluice-Timestamp is {} s behind the server's clock.":
    "زمان X-Sluice-Timestamp به اندازهٔ {} ثانیه از ساعت سرور عقب‌تر است.",
  "This key takes signed requests: {} is missing.": "این کلید درخواست امضاشده می‌پذیرد: {} نیامده است.",
  "The address {} is not allowed.": "نشانی {} مجاز نیست.",
  "Too many requests of this customer wait for the database.":
    "درخواست‌های بیش از حدی از این مشتری در انتظار پایگاه داده‌اند.",
  "Too many requests wait for the database.": "درخواست‌های بیش از حدی در انتظار پایگاه داده‌اند.",
  "Too many API keys wait to be looked up.": "کلیدهای API بیش از حدی در انتظار جست‌وجو هستند.",
  "A line has at most {} KiB.": "هر سطر حداکثر {} کیبی‌بایت دارد.",
  "The message is {}; only a scheduled one can be canceled or changed.":
    "وضعیت پیام {} است؛ تنها پیام scheduled را می‌توان لغو کرد یا تغییر داد.",
  "This costs {}; the wallet holds {}.": "هزینهٔ این درخواست {} است؛ کیف پول {} دارد.",
  "Nothing less than {} s could be promised for an express message now; more than {} s is not promised.":
    "اکنون برای پیام اکسپرس کمتر از {} ثانیه نمی‌توان وعده داد؛ بیش از {} ثانیه وعده داده نمی‌شود.",
  "This route needs the scope {}.": "این مسیر به دسترسی {} نیاز دارد.",
  "The process is stopping.": "این پردازه در حال توقف است.",
  "No such route.": "چنین مسیری وجود ندارد.",
  "The customer already has {} live keys: revoke one first.":
    "مشتری هم‌اکنون {} کلید معتبر دارد: نخست یکی را باطل کنید.",
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
  "The connection to the database was lost. Repeat the request: twice has the effect of once.":
    "اتصال به پایگاه داده قطع شد. درخواست را تکرار کنید: دوبار همان اثر یک‌بار را دارد.",
  "The connection to the database was lost. Ask what became of it before you repeat the request.":
    "اتصال به پایگاه داده قطع شد. پیش از تکرار درخواست، بپرسید که چه شده است.",
  "The connection to the database was lost. Repeat the request with the same Idempotency-Key.":
    "اتصال به پایگاه داده قطع شد. درخواست را با همان Idempotency-Key تکرار کنید.",
  "This Idempotency-Key, which is kept for ever, was used for another request. Nothing was done.":
    "این Idempotency-Key، که همیشه نگه داشته می‌شود، برای درخواست دیگری به کار رفت. کاری انجام نشد.",
  "No such template.": "چنین قالبی وجود ندارد.",
  "No such message.": "چنین پیامی وجود ندارد.",
  "No such file.": "چنین پرونده‌ای وجود ندارد.",
  "No such delivery of the last 8 days.": "در 8 روز گذشته چنین تحویلی وجود ندارد.",
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
