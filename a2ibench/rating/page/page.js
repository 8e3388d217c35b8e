// The rating page: the same from a file (answers stay in this browser until they are downloaded) and from
// `a2ibench rate serve` (each answer is sent as it is given). Texts reach the document as text, never as HTML.
const study = JSON.parse(document.getElementById("study").textContent);
const served = study.rater !== null;
const at = (id) => document.getElementById(id);
const PAUSE = 180; // ms during which one sees what one has chosen
const RATER = /^[\p{L}\p{N}][\p{L}\p{N}_ .@-]{0,63}$/u;
const sides = study.design === "pairwise" ? ["first", "second"] : null;
const values = sides ?? [1, 2, 3, 4, 5];

let rater = study.rater;
let order = []; // places in study.items, as this rater sees them
let mirrored = false; // whether the first image of a pair stands on the right
let place = 0;
let answers = new Map(); // item id -> { value, seconds, at }
let locked = true;
let players = []; // of the item on screen: of what was given, then of the outputs from left to right
let givenPlayer = null; // the player of what was given, where that is played
let moving; // the timer that goes on after an answer

function lock(yes) {
  locked = yes;
  at("rating").setAttribute("aria-busy", String(yes));
}

// ------------------------------------------------------------------------------------------ which order

function orderNumber(name) {
  const digits = name.match(/[0-9]{1,9}$/);
  if (digits) return Number(digits[0]);
  let number = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) number = Math.imul(number ^ byte, 0x01000193) >>> 0;
  return number;
}

function takeOrder() {
  const number = served ? 0 : orderNumber(rater) % study.orders.length;
  order = study.orders[number];
  mirrored = study.mirrored[number];
}

const itemAt = (index) => study.items[order[index]];
const firstOpen = () => order.findIndex((_, index) => !answers.has(itemAt(index).item));

// ------------------------------------------------------------------------------------ keeping the answers

const keyOf = (name) => `a2ibench/${study.study}/${name}`;

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a browser that keeps nothing: `keep` says so
  }
}

function checked(rows) {
  const known = new Set(study.items.map((item) => item.item));
  const good = (row) => row && known.has(row.item) && values.includes(row.value) && Number.isFinite(row.seconds);
  return new Map(rows.filter(good).map(({ item, value, seconds, at }) => [item, { value, seconds, at }]));
}

function recall(name) {
  try {
    return checked(JSON.parse(stored(keyOf(name)) ?? "[]"));
  } catch {
    return new Map();
  }
}

function rows() {
  const given = study.items.filter((item) => answers.has(item.item));
  return given.map(({ item }) => ({ study: study.study, rater, item, ...answers.get(item) }));
}

function keep(item) {
  if (served) {
    waiting.set(item, answers.get(item));
    send();
    return;
  }
  try {
    localStorage.setItem(keyOf(rater), JSON.stringify(rows()));
    localStorage.setItem(keyOf(""), rater);
    say("Kept in this browser.");
  } catch {
    say("This browser keeps nothing: please finish in one go, without closing the page.", true);
  }
}

// ------------------------------------------------------------------------------------- sending the answers

const waiting = new Map(); // item id -> answer that the server has not yet acknowledged
let sending = false;

async function send() {
  if (sending) return;
  sending = true;
  let wait = 1000;
  while (waiting.size) {
    const [item, answer] = waiting.entries().next().value;
    const outcome = await post({ item, value: answer.value, seconds: answer.seconds });
    if (outcome === "kept") {
      if (waiting.get(item) === answer) waiting.delete(item);
      say("Saved.");
      wait = 1000;
    } else if (outcome === "refused") {
      sending = false;
      return;
    } else {
      say("Not saved yet: the server can’t be reached. Trying again …", true);
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(2 * wait, 15000);
    }
  }
  sending = false;
  if (!at("end").hidden) showEnd();
}

async function post(body) {
  try {
    const reply = await fetch("answers", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
    });
    if (reply.ok) return "kept";
    if (reply.status >= 500 || reply.status === 429) return "later";
    const why = reply.status === 404 ? "this link is not valid any more" : (await reply.json()).error;
    say(`Not saved: ${why}. Please tell the person who sent you the link.`, true);
    return "refused";
  } catch {
    return "later";
  }
}

window.addEventListener("beforeunload", (event) => {
  if (waiting.size) event.preventDefault();
});

// ------------------------------------------------------------------------------------------------- screens

function show(screen) {
  for (const name of ["welcome", "check", "rating", "end"]) at(name).hidden = name !== screen;
  at(screen).querySelector("h1").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function say(text, problem = false) {
  at("status").textContent = text;
  at("status").classList.toggle("problem", problem);
}

function paragraphs(into, text) {
  const parts = text.split(/\n\s*\n/).map((part) => part.trim()).filter(Boolean);
  into.replaceChildren(...parts.map((part) => Object.assign(document.createElement("p"), { textContent: part })));
}

function showWelcome() {
  paragraphs(at("instructions"), study.instructions);
  paragraphs(at("consent-text"), study.consent);
  const agreed = answers.size > 0 || !study.consent.trim();
  at("consent").hidden = !study.consent.trim();
  at("agree").required = Boolean(study.consent.trim());
  at("agree").checked = agreed;
  at("who").hidden = served;
  at("rater").value = rater ?? study.code ?? stored(keyOf("")) ?? "";
  showAmount();
  show("welcome");
}

function showAmount() {
  const name = at("rater").value.trim().normalize("NFC");
  const given = served ? answers : recall(name);
  const total = study.items.length;
  const back = given.size > 0;
  if (back) at("agree").checked = true;
  at("go").textContent = back ? "Go on" : "Begin";
  at("amount").textContent = back
    ? `Welcome back: ${given.size} of ${total} are done.`
    : `${total} ${sides ? "pairs" : `${study.noun}s`}, about ${Math.max(1, Math.round((total * secondsEach()) / 60))} min.`;
}

// How long an item takes, roughly: sounds and videos are played one after the other.
const secondsEach = () => (sides ? 10 : 6) + (study.medium in PLAYED ? (sides ? 16 : 8) : 0);

function begin(event) {
  event.preventDefault();
  if (!served) {
    rater = at("rater").value.trim().normalize("NFC");
    const fits = RATER.test(rater);
    at("rater-problem").textContent = fits ? "" : "Use letters, digits, spaces and . _ @ - only, at most 64.";
    at("rater").setAttribute("aria-invalid", String(!fits));
    if (!fits) return at("rater").focus();
    answers = recall(rater);
    takeOrder();
  }
  if (study.headphones && !answers.size) return checkHeadphones(goOn);
  goOn();
}

function goOn() {
  const open = firstOpen();
  if (open < 0) return showEnd();
  place = open;
  at("rating").hidden = false;
  showItem();
}

function showEnd() {
  const left = waiting.size;
  if (served) {
    at("end-text").textContent = left
      ? `Your last ${left === 1 ? "answer is" : `${left} answers are`} still on the way. Please leave this page open.`
      : "All your answers are saved. You can close this page.";
  } else {
    at("end-text").textContent =
      "You have answered everything. Please download your answers and send the file back (one of the two is enough).";
  }
  at("downloads").hidden = served;
  show("end");
}

// ---------------------------------------------------------------------------------------------- one item

const loaded = new Map(); // place -> image elements

function load(index) {
  if (index < 0 || index >= order.length) return [];
  if (!loaded.has(index)) {
    loaded.set(index, itemAt(index).shown.map((address) => makeElement(study.medium, address)));
  }
  return loaded.get(index);
}

let shownAt = null; // when the item appeared, or the page came back to the front
let spent = 0; // seconds that the item was on screen before that

function clock() {
  if (shownAt !== null) spent += (performance.now() - shownAt) / 1000;
  shownAt = null;
}

document.addEventListener("visibilitychange", () => {
  clock();
  if (!document.hidden && !locked && !at("rating").hidden) shownAt = performance.now();
});

async function showItem() {
  const here = place;
  const item = itemAt(place);
  const before = answers.get(item.item);
  lock(true);
  shownAt = null;
  spent = before?.seconds ?? 0;
  at("bar").style.width = `${(100 * answers.size) / order.length}%`;
  at("place").textContent = `${place + 1} of ${order.length}`;
  at("question").textContent = study.question.replaceAll("{label}", () => item.label ?? "");
  at("back").disabled = place === 0;
  at("next").disabled = before === undefined;
  const outputs = mirrored ? [...load(place)].reverse() : load(place);
  showGiven(item, before !== undefined);
  showOutputs(outputs, before !== undefined);
  mark(before?.value);
  show("rating");
  // What was given begins by itself, or the only output. A browser may want a click first: then the button is there.
  if (givenPlayer || players.length === 1) players[0].start().catch(() => {});
  try {
    // A sound or a video loads while it plays, and tells itself when it can't.
    await Promise.all(outputs.map((output) => output.decode?.()));
  } catch {
    if (here !== place) return;
    loaded.delete(here);
    const problem = document.createElement("p");
    problem.className = "problem";
    problem.textContent = `The ${study.noun} can’t be loaded. Trying again …`;
    at("outputs").replaceChildren(problem);
    setTimeout(() => here === place && !at("rating").hidden && showItem(), 3000);
    return;
  }
  if (here !== place) return;
  lock(false);
  if (!document.hidden) shownAt = performance.now();
  loaded.delete(here - 2);
  load(here + 1);
}

function showGiven(item, answered) {
  players = givenPlayer ? [givenPlayer] : [];
  if (givenPlayer) givenPlayer.reset(answered, item.given);
  else if (study.given) {
    const shown = makeElement(study.given.medium, item.given);
    if (study.given.medium === "image") shown.alt = `The ${study.given.noun}`;
    at("given").replaceChildren(shown);
  }
}

function showOutputs(outputs, answered) {
  const frames = outputs.map((output, side) => {
    const name = sides ? `the ${side === 0 ? "left" : "right"} ${study.noun}` : `the ${study.noun} to rate`;
    if (study.medium in PLAYED) return playedOutput(output, name, answered);
    if (study.medium === "image") output.alt = name.replace("the", "The");
    output.onclick = sides ? () => choose(valueOf(side)) : null;
    return output;
  });
  at("outputs").replaceChildren(...frames);
}

const framed = new WeakMap(); // element -> its frame and player, made once
function playedOutput(output, name, answered) {
  const fail = (text) => say(text, true);
  if (!framed.has(output)) framed.set(output, makePlayed(output, name, heardMore, fail));
  const { frame, player } = framed.get(output);
  player.reset(answered);
  players.push(player);
  return frame;
}

function heardMore() {
  mark(answers.get(itemAt(place).item)?.value);
}

// The value of the output on the left (0) or right (1); of a note, the note itself.
const valueOf = (side) => (sides ? sides[mirrored ? 1 - side : side] : values[side]);

function mark(value) {
  [...at("choices").children].forEach((button, side) => {
    button.setAttribute("aria-pressed", String(value !== undefined && valueOf(side) === value));
    button.disabled = unheard(players) !== "";
  });
  if (sides) {
    [...at("outputs").children].forEach((output, side) =>
      output.classList.toggle("chosen", value !== undefined && valueOf(side) === value),
    );
  }
}

function choose(value) {
  if (locked || at("rating").hidden) return;
  if (unheard(players)) return say(unheard(players), true);
  lock(true);
  clock();
  const { item } = itemAt(place);
  answers.set(item, { value, seconds: Math.round(spent * 1000) / 1000, at: new Date().toISOString() });
  mark(value);
  say("");
  keep(item);
  moving = setTimeout(() => go(1), PAUSE);
}

function go(step) {
  clearTimeout(moving);
  Player.current?.element.pause();
  const open = firstOpen();
  if (step > 0 && place + 1 >= order.length) {
    if (open < 0) return showEnd();
    place = open;
  } else {
    place = Math.max(0, place + step);
  }
  showItem();
}

// --------------------------------------------------------------------------------------------- downloads

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const fileName = (suffix) => `ratings-${study.study}-${rater.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.${suffix}`;

function downloadCsv() {
  // No quoting is needed: neither ids nor raters' names can hold a comma or a quote.
  const columns = ["study", "rater", "item", "value", "seconds", "at"];
  const lines = rows().map((row) => columns.map((column) => row[column]).join(","));
  download(fileName("csv"), "text/csv;charset=utf-8", [columns.join(","), ...lines, ""].join("\n"));
}

function downloadJson() {
  const found = { study: study.study, rater, answers: rows() };
  download(fileName("json"), "application/json", `${JSON.stringify(found, null, 1)}\n`);
}

// ----------------------------------------------------------------------------------------------- beginning

function buildChoices() {
  const names = sides
    ? ["Left", "Right"]
    : values.map((value) => String(value));
  const spoken = sides
    ? [`The left ${study.noun}`, `The right ${study.noun}`]
    : names.map((name) => (name === "1" ? `1, ${study.scale.low}` : name === "5" ? `5, ${study.scale.high}` : name));
  const buttons = names.map((name, side) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.setAttribute("aria-label", spoken[side]);
    button.addEventListener("click", () => choose(valueOf(side)));
    return button;
  });
  at("choices").replaceChildren(...buttons);
  at("outputs").classList.toggle("two", Boolean(sides));
  at("given").hidden = !study.given;
  buildGiven();
  at("ends").hidden = Boolean(sides);
  at("low").textContent = `1 = ${study.scale.low}`;
  at("high").textContent = `5 = ${study.scale.high}`;
  const hints = [
    ...(sides ? [["←", "left"], ["→", "right"]] : [["1 – 5", "rate"]]),
    ...playKeys().map(([key, what]) => [key.toUpperCase(), what]),
    ["Backspace", "back"],
  ];
  const parts = hints.flatMap(([key, what]) => {
    const sign = document.createElement("kbd");
    sign.textContent = key;
    return [sign, ` ${what}  `];
  });
  at("keys").replaceChildren(...parts);
}

// The keys that play, in the order of the players, and what they do.
function playKeys() {
  const keys = givenPlayer ? [["p", "play"]] : [];
  if (!(study.medium in PLAYED)) return keys;
  if (sides) return [...keys, ["a", "play left"], ["b", "play right"]];
  return [...keys, givenPlayer ? ["a", `play the ${study.noun}`] : ["p", "play"]];
}

// What was given, where it is played: one element for all items, since some browsers let only that one play again.
function buildGiven() {
  if (!(study.given?.medium in PLAYED)) return;
  const element = makeElement(study.given.medium, "");
  element.removeAttribute("src");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const word = `Play the ${study.given.noun}`;
  givenPlayer = new Player(element, { button, word, changed: heardMore, failed: (text) => say(text, true) });
  at("given").replaceChildren(element, button);
}

document.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
  if (!plain || at("rating").hidden || event.target.matches("input")) return;
  const playing = playKeys().findIndex(([key]) => key === event.key.toLowerCase());
  if (!sides && /^[1-5]$/.test(event.key)) choose(Number(event.key));
  else if (sides && event.key === "ArrowLeft") choose(valueOf(0));
  else if (sides && event.key === "ArrowRight") choose(valueOf(1));
  else if (playing >= 0) players[playing]?.toggle();
  else if (event.key === "Backspace" && place > 0) go(-1);
  else return;
  event.preventDefault();
});

at("start").addEventListener("submit", begin);
at("rater").addEventListener("input", showAmount);
at("back").addEventListener("click", () => place > 0 && go(-1));
at("next").addEventListener("click", () => go(1));
at("csv").addEventListener("click", downloadCsv);
at("json").addEventListener("click", downloadJson);
at("again").addEventListener("click", () => {
  place = 0;
  showItem();
});

async function main() {
  buildChoices();
  if (!served) return showWelcome();
  takeOrder();
  for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
    try {
      const reply = await fetch("answers", { cache: "no-store", credentials: "omit" });
      if (reply.status === 404) return say("This link is not valid any more.", true);
      if (!reply.ok) throw new Error(reply.status);
      answers = checked((await reply.json()).answers);
      break;
    } catch {
      say("The server can’t be reached. Trying again …", true);
      await new Promise((done) => setTimeout(done, wait));
    }
  }
  say("");
  showWelcome();
}

main();
