// The words by which a phone opts out of a sender's messages, opts in again, or asks for help: one table, by
// language. A message is a command only if it is nothing but such a word, folded (fold.ts): "please stop
// calling" is no command, "Stop." is one. Pure.
// Sources: CTIA Messaging Principles (English); لغو11, the sign that bulk messages in Iran must end with, and
// its 11, which counts only for customers of that region; otherwise the words that national operators and
// regulators name.
// Invariant: no word has two meanings.

import { fold } from "./fold.ts";

export const COMMANDS = ["stop", "start", "help"] as const;
export type Command = (typeof COMMANDS)[number];

type Words = Record<Command, readonly string[]>;

export const OPT_OUT_WORDS: Readonly<Record<string, Words>> = {
  en: {
    stop: [
      "stop",
      "stopall",
      "stop all",
      "unsubscribe",
      "cancel",
      "end",
      "quit",
      "optout",
      "opt out",
      "opt-out",
      "revoke",
      "off",
    ],
    start: ["start", "unstop", "subscribe", "optin", "opt in", "opt-in"],
    help: ["help", "info"],
  },
  fa: {
    stop: [
      "لغو",
      "لغو11",
      "لغو 11",
      "لغو عضویت",
      "لغو اشتراک",
      "لغو دریافت",
      "توقف",
      "قطع",
      "انصراف",
      "کنسل",
    ],
    start: ["شروع", "آغاز", "عضویت", "وصل", "فعال", "فعالسازی"],
    help: ["راهنما", "راهنمایی", "کمک"],
  },
  ar: {
    stop: [
      "إيقاف",
      "ايقاف",
      "أوقف",
      "وقف",
      "قف",
      "إلغاء",
      "الغاء",
      "ألغ",
      "إلغاء الاشتراك",
      "الغاء الاشتراك",
    ],
    start: ["ابدأ", "ابدا", "بدء", "اشتراك", "اشترك", "تفعيل", "استئناف"],
    help: ["مساعدة", "مساعده"],
  },
  tr: {
    stop: ["dur", "durdur", "iptal", "iptal et", "ret", "çık", "çıkış", "abonelik iptal"],
    start: ["başla", "başlat", "abone", "abone ol", "devam"],
    help: ["yardım", "bilgi"],
  },
  fr: {
    stop: [
      "arrêt",
      "arrêter",
      "arrêtez",
      "désabonner",
      "désabonnement",
      "désinscrire",
      "stop sms",
      "annuler",
    ],
    start: ["commencer", "démarrer", "abonner", "reprendre", "début"],
    help: ["aide"],
  },
  de: {
    stop: ["stopp", "abmelden", "abbestellen", "ende", "beenden"],
    start: ["starten", "anmelden", "fortsetzen"],
    help: ["hilfe"],
  },
  es: {
    stop: ["alto", "parar", "pare", "baja", "cancelar", "detener", "salir"],
    start: ["empezar", "iniciar", "comenzar", "alta", "reanudar"],
    help: ["ayuda"],
  },
  pt: {
    stop: ["sair", "remover", "descadastrar"],
    start: ["começar", "voltar", "retomar"],
    help: ["ajuda"],
  },
  it: {
    stop: ["ferma", "basta", "disiscrivi", "annulla"],
    start: ["inizia", "iscrivi", "riprendi"],
    help: ["aiuto"],
  },
  ru: {
    stop: ["стоп", "отписаться", "отписка", "отмена", "отказ"],
    start: ["старт", "начать", "подписаться", "подписка"],
    help: ["помощь", "справка"],
  },
  ur: { stop: ["بند", "بند کریں", "روکیں", "منسوخ"], start: ["شروع کریں", "بحال"], help: ["مدد"] },
};

/** Words that mean this only where a customer is from this region. */
export const REGIONAL_WORDS: Readonly<Record<string, Partial<Words>>> = { IR: { stop: ["11"] } };

const indexOf = (all: Iterable<Partial<Words>>): ReadonlyMap<string, Command> =>
  new Map(
    [...all].flatMap((words) =>
      COMMANDS.flatMap((command) => (words[command] ?? []).map((word) => [fold(word), command] as const)),
    ),
  );
const EVERYWHERE = indexOf(Object.values(OPT_OUT_WORDS));
const REGIONAL = new Map(Object.entries(REGIONAL_WORDS).map(([region, words]) => [region, indexOf([words])]));
/** No word, and no keyword before one, is longer; a text that is, is no command, and costs no folding. */
const COMMAND_CHARS_MAX = 60;

/** What a text asks for, sent to a customer of this region; null if it is any other message. */
export function commandOf(text: string, region: string): Command | null {
  if (text.length > COMMAND_CHARS_MAX) return null;
  const folded = fold(text);
  return EVERYWHERE.get(folded) ?? REGIONAL.get(region)?.get(folded) ?? null;
}

/** The first word of a text, folded: the keyword that may name its customer. */
export const keywordOf = (text: string): string => fold(text.slice(0, COMMAND_CHARS_MAX)).split(" ")[0] ?? "";
