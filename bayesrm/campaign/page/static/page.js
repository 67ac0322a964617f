// The page of an annotator: shows a question, sends an answer, and keeps it here until the server has it on disk.

const secret = location.hash.slice(1);
const kept = `answer ${secret.slice(0, 10)}`;
const $ = (id) => document.getElementById(id);
const NAVS = ["choices", "grading", "ranking"];
const buttons = [...document.querySelectorAll("nav [data-side]")], undos = [...document.querySelectorAll(".undo")];
const LIMIT = 15000; // milliseconds that a request may take before it is sent again
const GUARD = 200; // milliseconds after which a key is meant for the question that is shown

let question = null, last = null, busy = false, paused = false, waiting = 0;
let shownAt = 0, visibleFor = 0, visibleSince = null;

class Refused extends Error {}

async function call(name, body) {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), LIMIT);
  try {
    const response = await fetch(`/api/${name}`, {
      method: "POST", signal: stop.signal, cache: "no-store", credentials: "omit",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${secret}` },
      body: JSON.stringify(body),
    });
    if (response.status === 403) throw new Refused("This link opens nothing. Ask whoever sent it for a new one.");
    if (response.status >= 400 && response.status < 500) throw new Refused(await response.text());
    if (!response.ok) throw new Error(await response.text());
    return await response.json();
  } finally {
    clearTimeout(timer);
  }
}

// Sends until it is answered; nothing is lost meanwhile, and the same key counts once.
async function persist(name, body) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const state = await call(name, body);
      banner("");
      return state;
    } catch (error) {
      if (error instanceof Refused) throw error;
      banner(name === "answer"
        ? "No connection. Your answer is kept here and will be sent as soon as there is one."
        : "No connection. Trying again…");
      await new Promise((go) => {
        const done = () => { clearTimeout(timer); removeEventListener("online", done); go(); };
        const timer = setTimeout(done, wait);
        addEventListener("online", done);
      });
    }
  }
}

async function act(name, body) {
  busy = true;
  clearTimeout(waiting);
  lock();
  try {
    const state = await persist(name, body);
    if (name === "answer") localStorage.removeItem(kept);
    return state;
  } catch (error) {
    if (name === "answer") localStorage.removeItem(kept);
    question = null;
    busy = false;
    message(error.message || "Something went wrong: load the page again.", "refused");
    return null;
  } finally {
    busy = false;
    lock();
  }
}

async function answer(side, more = {}) {
  if (busy || paused || !question) return;
  const body = { question: question.id, side, ...more, key: newKey(), seconds: Math.round(time()) / 1000 };
  localStorage.setItem(kept, JSON.stringify(body));
  $(`pane-${side}`)?.classList.add("chosen");
  await send(body);
}

async function send(body) {
  const state = await act("answer", body);
  if (!state) return;
  const said = body.order ?? body.words ?? { left: "A is better", right: "B is better", tie: "Tie", skip: "Skipped" }[body.side];
  const words = {
    kept: `Saved: ${said}.`,
    already: "That one was answered already.",
    closed: "No more answers to that one are taken: its batch was closed.",
  };
  show(state, words[state.became]);
}

async function undo() {
  if (busy || paused || last === null) return;
  const state = await act("undo", { answer: last });
  if (state) show(state, state.undone ? "Taken back. Here it is again." : "Nothing to take back.");
}

async function pause() {
  if (busy || paused) return;
  paused = true;
  clock(false);
  await act("pause", {});
  message("Paused. Your answers are saved; you can close this page and come back with the same link.", "paused");
  say("Paused.");
}

async function next() {
  paused = false;
  const state = await act("next", {});
  if (state) show(state, "");
}

function show(state, words) {
  last = state.last;
  question = state.question;
  $("name").textContent = state.name;
  const total = state.answered + state.left + state.elsewhere;
  $("bar").max = Math.max(1, total);
  $("bar").value = state.answered;
  $("count").textContent = `${state.answered} of ${total}`;
  $("time").textContent = state.left && state.seconds !== null ? `· ${duration(state.seconds)} left` : "";
  say(words);
  if (!question) {
    document.title = "Nothing to answer now";
    if (state.elsewhere) {
      message("The rest is on other people's screens. This page looks again by itself.", "waiting");
      waiting = setTimeout(next, 4000);
    } else {
      message(state.answered ? "All done. Thank you!\nEvery answer of yours is saved." : "There is nothing to answer yet.", "done");
      waiting = setTimeout(next, 15000);
    }
    return;
  }
  const many = Boolean(question.list);
  $("title").textContent = many ? "Which answers are better?" : "Which answer is better?";
  $("which").textContent = many ? `1 to ${question.list.length} = Enter t s u`
    : question.grades ? `1 to ${question.grades.length} s u` : "← → t s u";
  document.title = `${state.answered + 1} of ${total} · ${$("title").textContent}`;
  lay(question.list ?? []);
  offer(question.grades ?? []);
  for (const part of ["prompt", ...(question.list ?? ["left", "right"])]) fill(part, question[part]);
  for (const pane of document.querySelectorAll(".chosen")) pane.classList.remove("chosen");
  $("message").hidden = true;
  $("question").hidden = $("pause").hidden = false;
  $("pair").hidden = many;
  $("members").hidden = !many;
  for (const nav of NAVS) $(nav).hidden = nav !== (many ? "ranking" : question.grades ? "grading" : "choices");
  lock();
  scrollTo(0, 0);
  $("title").focus({ preventScroll: true });
  shownAt = performance.now();
  visibleFor = 0;
  clock(!document.hidden);
}

// The HTML was sanitised where it was made, and this page's policy runs no script that is not a file of its own.
function fill(part, text) {
  const box = $(part);
  box.classList.remove("whole");
  box.innerHTML = text.html;
  box.parentElement.querySelector(".more")?.remove();
  if (!text.characters) box.textContent = "(empty)";
  if (!text.cut) return;
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.textContent = `Show all ${text.characters.toLocaleString("en")} characters`;
  const id = question.id;
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const whole = await persist("text", { question: id, part });
      if (question?.id !== id) return;
      box.classList.add("whole");
      box.textContent = whole.text;
      more.remove();
    } catch (error) {
      say(error.message);
    }
  });
  box.after(more);
}

// A scale from A much better to B much better, a button and a key each.
function offer(grades) {
  $("scale").replaceChildren(...grades.map(({ words, side, points }, at) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    button.type = "button";
    button.dataset.side = side;
    button.setAttribute("aria-keyshortcuts", String(at + 1));
    key.textContent = at + 1;
    key.ariaHidden = "true";
    button.append(`${words} `, key);
    button.addEventListener("click", () => grade(at));
    return button;
  }));
}

function grade(at) {
  const { words, side, points } = question?.grades?.[at] ?? {};
  if (side) answer(side, { points, words });
}

// A list to put in order: places by answer, 1 the best; answers without one are below all that have one.
let places = new Map(), ties = false;

function lay(names) {
  places = new Map();
  const panes = names.map((name, at) => {
    const pane = $("member").content.cloneNode(true), letter = name.toUpperCase();
    const heading = pane.querySelector("h2"), group = pane.querySelector("fieldset"), key = document.createElement("kbd");
    key.textContent = at + 1;
    key.ariaHidden = "true";
    heading.append(`Answer ${letter} `, key);
    heading.id = `${name}-title`;
    pane.querySelector("section").id = `pane-${name}`;
    pane.querySelector("section").setAttribute("aria-labelledby", heading.id);
    pane.querySelector(".text").id = name;
    group.querySelector("legend").textContent = `Place of answer ${letter}`;
    for (const place of [...names.keys(), null]) group.append(choice(name, place));
    return pane;
  });
  $("members").replaceChildren(...panes);
  put(null);
}

function choice(name, place) {
  const label = document.createElement("label"), radio = document.createElement("input");
  const words = document.createElement("span");
  radio.type = "radio";
  radio.name = `place-${name}`;
  radio.value = place === null ? "" : String(place + 1);
  radio.checked = place === null;
  radio.addEventListener("change", () => put(name, place === null ? null : place + 1));
  words.textContent = place === null ? "none" : String(place + 1);
  label.append(radio, words);
  return label;
}

// Gives an answer a place, or takes it away, and shows what follows.
function put(name, place = null) {
  if (name !== null) places.delete(name);
  if (name !== null && place !== null) places.set(name, place);
  press(false);
  for (const one of question.list ?? []) {
    const value = String(places.get(one) ?? "");
    $("members").querySelector(`input[name=place-${one}][value="${value}"]`).checked = true;
    $(`pane-${one}`).classList.toggle("placed", places.has(one));
  }
  const rest = (question.list ?? []).filter((one) => !places.has(one)).map((one) => one.toUpperCase());
  $("order").textContent = places.size === 0
    ? "Choose places, 1 the best; the best alone is an answer too."
    : `${order()}${rest.length ? `; below ${rest.length > 1 ? "them" : "all"}: ${rest.join(", ")}` : ""}`;
  lock();
}

// The next place, or the last one where it ties.
function pick(name) {
  if (busy || paused || !name) return;
  const others = [...places].filter(([one]) => one !== name).map(([, place]) => place), last = Math.max(0, ...others);
  if (places.has(name) && !ties) put(name); else put(name, ties && last ? last : Math.min(last + 1, question.list.length));
}

function order() {
  const found = [...new Set(places.values())].sort((a, b) => a - b);
  return found.map((place) => (question.list ?? []).filter((one) => places.get(one) === place)
    .map((one) => one.toUpperCase()).join(" = ")).join(" > ");
}

function press(on) {
  ties = on && places.size > 0;
  $("same").setAttribute("aria-pressed", String(ties));
}

function save() { if (places.size) answer("ranked", { order: order() }); }

function message(text, state) {
  const resume = state === "paused";
  at(state);
  for (const part of ["question", "pause", ...NAVS]) $(part).hidden = true;
  $("message").hidden = false;
  $("message-text").textContent = text;
  $("resume").hidden = !resume;
  $("message-undo").hidden = resume || last === null;
  clock(false);
  if (resume) $("resume").focus();
}

// What the page is at, for its style and for whoever drives it: ready, busy, waiting, done, paused or refused.
function at(state) { document.body.dataset.state = state; }

function lock() {
  if (busy) at("busy"); else if (question && !paused) at("ready");
  for (const button of [...buttons, ...$("scale").children]) button.disabled = busy;
  for (const button of [...undos, $("message-undo")]) button.disabled = busy || last === null;
  $("save").disabled = $("same").disabled = busy || places.size === 0;
  for (const group of document.querySelectorAll(".places")) group.disabled = busy;
  $("pause").disabled = busy;
}

function banner(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

function say(text) { $("said").textContent = text; }

// Only the time that the question can be seen counts.
function clock(run) {
  if (visibleSince !== null) visibleFor += performance.now() - visibleSince;
  visibleSince = run ? performance.now() : null;
}

function time() { return visibleFor + (visibleSince === null ? 0 : performance.now() - visibleSince); }

function duration(seconds) {
  if (seconds < 90) return "about a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`;
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

for (const button of buttons) button.addEventListener("click", () => answer(button.dataset.side));
for (const button of undos) button.addEventListener("click", undo);
$("save").addEventListener("click", save);
$("same").addEventListener("click", () => press(!ties));
$("message-undo").addEventListener("click", undo);
$("pause").addEventListener("click", pause);
$("resume").addEventListener("click", next);
$("keys").checked = localStorage.getItem("keys") !== "off";
$("keys").addEventListener("change", () => localStorage.setItem("keys", $("keys").checked ? "on" : "off"));

// What a key does; nothing of a list's where it belongs to the button or choice that has the focus.
function keyed(event) {
  const side = { t: "tie", s: "skip" }[event.key];
  if (side) return () => answer(side);
  if (event.key === "u") return undo;
  if (question?.grades) return /^[1-9]$/.test(event.key) ? () => grade(Number(event.key) - 1) : null;
  if (!question?.list) {
    const chosen = { ArrowLeft: "left", ArrowRight: "right" }[event.key];
    return chosen && (() => answer(chosen));
  }
  if (/^[1-9]$/.test(event.key)) return () => pick(question.list[Number(event.key) - 1]);
  if (event.key === "=") return () => press(!ties);
  if (event.key === "Enter" && !event.target.closest("button, a, [type=checkbox]")) return save;
  return null;
}

addEventListener("keydown", (event) => {
  if (!$("keys").checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]")) return;
  const does = keyed(event);
  if (!does) return;
  event.preventDefault();
  if (performance.now() - shownAt >= GUARD) does();
});

document.addEventListener("visibilitychange", () => {
  const reading = question && !paused;
  clock(!document.hidden && Boolean(reading));
  // What was on the screen may have been given to somebody else meanwhile.
  if (!document.hidden && reading && !busy && performance.now() - shownAt > 300000) next();
});

const left = localStorage.getItem(kept);
if (!secret) message("This link is not whole: it ends in # and a secret. Ask whoever sent it for the link.", "refused");
else if (left) send(JSON.parse(left));
else next();
