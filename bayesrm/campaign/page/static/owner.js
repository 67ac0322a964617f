// The owner's view: figures that are read again every few seconds, and nothing that changes anything.

const secret = location.hash.slice(1);
const $ = (id) => document.getElementById(id);
const EVERY = 5000;

function table(id, head, rows) {
  const view = $(id);
  const line = (cells, kind) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const box = document.createElement(kind);
      if (kind === "th") box.scope = "col";
      const words = document.createElement("bdi");
      words.textContent = cell ?? "–";
      box.append(words);
      row.append(box);
    }
    return row;
  };
  const top = document.createElement("thead"), body = document.createElement("tbody");
  top.append(line(head, "th"));
  body.append(...rows.map((row) => line(row, "td")));
  view.replaceChildren(top, body);
}

function show(state) {
  $("name").textContent = state.name;
  $("bar").max = Math.max(1, state.wanted);
  $("bar").value = state.given;
  $("count").textContent = `${state.given} of ${state.wanted} answers`;
  $("at").textContent = new Date(state.at).toLocaleTimeString();
  const percent = (share) => (share === null ? null : `${Math.round(100 * share)}%`);
  table("people", ["who", "answers", "ties", "skips", "seconds each", "same as others", "last"], state.people.map((one) => [
    one.name, one.answers, one.ties, one.skips, one.seconds === null ? null : one.seconds.toFixed(1),
    one.same === null ? (one.shared ? `of ${one.shared}, too few` : null) : `${percent(one.same)} of ${one.shared}`,
    one.last === null ? null : new Date(one.last).toLocaleString(),
  ]));
  $("remarks").replaceChildren(...state.people.flatMap((one) => one.remarks.map((remark) => {
    const item = document.createElement("li"), words = document.createElement("bdi");
    words.textContent = remark;
    item.append(words);
    return item;
  })));
  $("agreement").textContent = state.agreement;
  $("sides").textContent = state.left_share === null ? "" : `Answer A was preferred in ${percent(state.left_share)} of decided answers.`;
  const forecast = state.forecast;
  $("sentence").textContent = forecast ? forecast.sentence : "Nothing was fitted yet: bayesrm campaign fit says what more answers bring.";
  $("forecast").hidden = !forecast;
  if (forecast) {
    table("forecast", ["answers", "1 − Spearman ↓ (90%)", "regret ↓ (90%)"], forecast.rows.map((row, at) => [
      at ? `+${row.labels}` : `${forecast.labels} now`, row.one_minus_spearman, row.regret,
    ]));
  }
  $("behind").textContent = forecast && forecast.behind ? `${forecast.behind} answers came since that fit.` : "";
  table("batches", ["batch", "asked", "design", "pairs", "answers wanted", "answered", "still open"], state.batches.map((one) => [
    one.number, one.asked, one.design, one.pairs, one.wanted, one.answered, one.open,
  ]));
  $("main").hidden = false;
}

function banner(text) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

async function look() {
  try {
    const response = await fetch("/api/overview", {
      method: "POST", cache: "no-store", credentials: "omit", body: "{}",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${secret}` },
    });
    if (response.status === 403) return banner("This link opens nothing.");
    if (!response.ok) throw new Error(response.status);
    show(await response.json());
    banner("");
  } catch {
    banner("No connection. Trying again…");
  }
  setTimeout(look, EVERY);
}

if (secret) look(); else banner("This link is not whole: it ends in # and a secret.");
