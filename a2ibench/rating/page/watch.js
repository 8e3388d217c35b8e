// The researcher's page: asks the server every few seconds how far each rater has come.
"use strict";

const at = (id) => document.getElementById(id);
const EVERY = 3000;

function cell(kind, content) {
  const made = document.createElement(kind);
  made.append(content);
  return made;
}

function row({ rater, answered, seconds, last }, total) {
  const bar = Object.assign(document.createElement("progress"), { max: total, value: answered });
  bar.setAttribute("aria-label", `Progress of ${rater}`);
  const head = cell("th", rater);
  head.scope = "row";
  const made = document.createElement("tr");
  made.append(
    head,
    cell("td", bar),
    cell("td", `${answered} of ${total}`),
    cell("td", seconds === null ? "–" : seconds.toFixed(1)),
    cell("td", last === null ? "–" : new Date(last).toLocaleString()),
  );
  return made;
}

async function refresh() {
  try {
    const reply = await fetch("progress", { cache: "no-store", credentials: "omit" });
    if (!reply.ok) throw new Error(reply.status);
    const { total, raters } = await reply.json();
    const done = raters.filter(({ answered }) => answered === total).length;
    const given = raters.reduce((sum, { answered }) => sum + answered, 0);
    at("sum").textContent = raters.length
      ? `${done} of ${raters.length} raters are done; ${given} answers.`
      : "Nobody is invited yet: a2ibench rate invite.";
    at("raters").replaceChildren(...raters.map((rater) => row(rater, total)));
    at("status").textContent = "";
  } catch {
    at("status").textContent = "The server can’t be reached. A restarted one prints a new address. Trying again …";
  }
  setTimeout(refresh, EVERY);
}

refresh();
