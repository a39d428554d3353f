// The words of opt-outs: every word of the table as phones write it, and messages that are none.

import { expect, test } from "bun:test";
import { fold } from "./fold.ts";
import { COMMANDS, commandOf, keywordOf, OPT_OUT_WORDS, REGIONAL_WORDS } from "./opt-out-words.ts";

const every = Object.values(OPT_OUT_WORDS).flatMap((words) =>
  COMMANDS.flatMap((command) => words[command].map((word) => [word, command] as const)),
);

test("no word has two meanings, and none is empty", () => {
  const meanings = new Map<string, string>();
  for (const [word, command] of every) {
    expect(fold(word)).not.toBe("");
    expect([word, meanings.get(fold(word)) ?? command]).toEqual([word, command]);
    meanings.set(fold(word), command);
  }
});

test("every language has words for all that a phone may ask for", () => {
  for (const words of Object.values(OPT_OUT_WORDS))
    for (const command of COMMANDS) expect(words[command].length).toBeGreaterThan(0);
});

test("each word counts however it is written", () => {
  for (const [word, command] of every)
    for (const written of [
      word,
      word.toUpperCase(),
      `  ${word}\n`,
      `"${word}".`,
      `\u200f${word}\u200e`,
      `${word}!!`,
      word.normalize("NFD"),
    ])
      expect([written, commandOf(written, "US")]).toEqual([written, command]);
});

// What people write to senders, and what it is: gathered from both sides of the line.
const STOPS = [
  "STOP",
  "Stop",
  "stop.",
  " STOP ",
  "STOPALL",
  "Unsubscribe",
  "UNSUBSCRIBE.",
  "cancel",
  "QUIT",
  "Opt-out",
  "opt out",
  "لغو",
  "لغو11",
  "لغو۱۱",
  "لغو ١١",
  "لغو عضويت",
  "انصراف",
  "إيقاف",
  "ايقاف",
  "إلغاء الاشتراك",
  "الغاء الاشتراك",
  "قف",
  "DUR",
  "İptal",
  "IPTAL",
  "ıptal",
  "Arret",
  "ARRÊT",
  "désabonnement",
  "Stopp",
  "Abmelden",
  "BAJA",
  "стоп",
  "Отписаться",
  "بند",
];
const STARTS = ["START", "unstop", "Subscribe", "شروع", "ابدأ", "Başla", "commencer", "старт", "ALTA"];
const HELPS = ["HELP", "help?", "Info", "راهنما", "كمك", "مساعدة", "Yardım", "aide", "Hilfe", "помощь"];
const OTHERS = [
  "",
  " ",
  "!",
  "11",
  "۱۱",
  "1",
  "yes",
  "no",
  "ok",
  "fine",
  "red",
  "thanks",
  "Please stop calling me",
  "stop it",
  "don't stop",
  "nonstop",
  "stopping by at 5",
  "when does it end",
  "I want to cancel my order 55",
  "لغو سفارش من",
  "لطفا لغو کنید",
  "سلام",
  "کمکم کن",
  "متوقف",
  "ما هو العرض",
  "durum nedir",
  "l'arrêt de bus",
  "help me please",
  "information",
  "starter",
  "стоповый",
  "s t o p",
  "STOP ".repeat(30),
];

test("what phones send to be left alone, to hear again, and for help", () => {
  for (const text of STOPS) expect([text, commandOf(text, "IR")]).toEqual([text, "stop"]);
  for (const text of STARTS) expect([text, commandOf(text, "IR")]).toEqual([text, "start"]);
  for (const text of HELPS) expect([text, commandOf(text, "IR")]).toEqual([text, "help"]);
});

test("what is no command, though some of it may look like one", () => {
  for (const text of OTHERS) expect([text, commandOf(text, "US")]).toEqual([text, null]);
});

test("words of a region count there alone", () => {
  expect(Object.keys(REGIONAL_WORDS)).toEqual(["IR"]);
  for (const text of ["11", "۱۱", "١١", " 11. "]) {
    expect(commandOf(text, "IR")).toBe("stop");
    expect(commandOf(text, "DE")).toBeNull();
  }
});

test("a keyword is the first word, folded", () => {
  expect(keywordOf("  Vote\u06f1 for me")).toBe("vote1");
  expect(keywordOf("\u0643\u062f 5")).toBe("\u06a9\u062f");
  expect(keywordOf("...")).toBe("");
  expect(keywordOf("x".repeat(10_000))).toHaveLength(60);
});
