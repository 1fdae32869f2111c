// Pages through a dataset: asks the server for samples, has gallery.js draw them.
//
// What is shown is in the address, so that a link, a reload and the back button do what one expects:
// ?list=dropped&stage=select_boxes&text=dog&low=0.3&from=48
"use strict";

(() => {
  const { el, renderEntry } = gallery;
  const COUNT = 24;
  const FILTERS = ["list", "stage", "reason", "change"];
  const $ = (id) => document.getElementById(id);
  const whole = (n) => n.toLocaleString("en");
  let about = null;
  let turn = 0; // of the last search; what an earlier one still brings is dropped
  let around = { next: null, previous: null };
  let shown = { count: 0, first: 0, last: 0, at: 0, done: false };

  async function ask(path, fields) {
    const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ""));
    const answer = await fetch(`${path}?${query}`);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  const state = () => Object.fromEntries(new URLSearchParams(location.search));

  function go(fields) {
    const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "" && value !== null));
    history.pushState(null, "", `?${new URLSearchParams(kept)}`);
    load().catch(failed);
  }

  /** What the form says, without a place to start at. */
  function wanted() {
    const chosen = $("show").selectedOptions[0];
    const fields = { text: $("text").value, low: $("low").value, high: $("high").value };
    return { ...(chosen ? JSON.parse(chosen.value) : {}), ...fields };
  }

  /** Everything that may be shown: lists, and in each what its labels tell apart. */
  function choices() {
    const found = [];
    for (const [list, { known, labels }] of Object.entries(about.lists)) {
      const named = labels.filter((label) => label.stage || label.change);
      const names = { kept: "kept", dropped: "all that was dropped", pairs: "everything" };
      found.push({ fields: { list }, text: names[list], count: known });
      const groups = new Map();
      for (const label of named) {
        const steps = [{ change: label.change }, { change: label.change, stage: label.stage }, label];
        for (const { change, stage = "", reason = "" } of steps) {
          const fields = { list, change, stage, reason };
          const key = JSON.stringify(fields);
          if (!change && !stage) continue;
          if (!groups.has(key)) groups.set(key, { fields, text: told(fields), count: 0, seen: new Set() });
          const group = groups.get(key);
          if (!group.seen.has(label)) group.count += label.count;
          group.seen.add(label);
        }
      }
      const order = Object.keys(about.changes);
      const sorted = [...groups.values()].sort(
        (a, b) => order.indexOf(a.fields.change) - order.indexOf(b.fields.change) || (a.text < b.text ? -1 : 1)
      );
      found.push(...sorted);
    }
    return found;
  }

  function told({ change, stage, reason }) {
    const place = reason ? `${stage}: ${reason}` : stage;
    if (!change) return place;
    return place ? `${about.changes[change]}, dropped by ${place}` : about.changes[change];
  }

  function fillChoices() {
    const select = $("show");
    const now = state();
    const options = choices().map(({ fields, text, count }) => {
      const value = JSON.stringify(fields);
      return el("option", { value }, `${text} (${whole(count)})`);
    });
    const texts = (nodes) => [...nodes].map((node) => node.textContent).join("\n");
    if (texts(options) === texts(select.options)) return;
    const chosen = options.find((option) => {
      const fields = JSON.parse(option.value);
      return FILTERS.every((name) => (now[name] ?? (name === "list" ? Object.keys(about.lists)[0] : "")) === (fields[name] ?? ""));
    });
    select.replaceChildren(...options);
    if (chosen) chosen.selected = true;
  }

  function fillForm() {
    const now = state();
    for (const id of ["text", "low", "high"]) $(id).value = now[id] ?? "";
    $("show").replaceChildren();
    fillChoices();
  }

  /** Names and counts; asks again while the server is still looking through the data. */
  async function learn() {
    about = await ask("/about", {});
    const names = about.sides.map((side) => side.name);
    document.title = `${names.join(" and ")} · gritmill`;
    $("name").textContent = names.join(" and ");
    const prefix = (side) => (names.length > 1 ? `${side.name}: ` : "");
    const notes = about.sides.flatMap((side) => side.notes.map((note) => prefix(side) + note));
    $("notes").replaceChildren(...notes.map((note) => el("li", {}, note)));
    $("notes").hidden = !notes.length;
    $("heads").hidden = names.length < 2;
    $("heads").replaceChildren(...names.map((name) => el("span", {}, name)));
    fillChoices();
    say();
    const busy = Object.values(about.lists).some((list) => list.near && !list.complete);
    if (busy) setTimeout(() => learn().catch(failed), 50);
  }

  async function load() {
    const mine = (turn += 1);
    const now = state();
    const backwards = now.direction === "backwards";
    let from = now.from ?? "0";
    let count = 0;
    let isFirst = true;
    const numbers = [];
    shown = { count: 0, first: 0, last: 0, at: Number(from), done: false };
    fillForm();
    say();
    $("entries").replaceChildren();
    $("entries").className = about.sides.length === 2 ? "pairs" : "entries";
    $("previous").disabled = $("next").disabled = true;
    around = { next: null, previous: null };
    window.scrollTo(0, 0);
    for (;;) {
      const page = await ask("/page", { ...now, from, count: COUNT - count });
      if (mine !== turn) return;
      const nodes = page.rows.map(render);
      if (backwards) $("entries").prepend(...nodes);
      else $("entries").append(...nodes);
      count += page.rows.length;
      numbers.push(...page.rows.map((row) => row.number));
      if (backwards) {
        around = { next: isFirst ? page.next : around.next, previous: page.previous };
        from = page.previous;
      } else {
        around = { next: page.next, previous: isFirst ? page.previous : around.previous };
        from = page.next;
      }
      isFirst = false;
      const done = count >= COUNT || from === null;
      shown = { count, first: Math.min(...numbers), last: Math.max(...numbers), at: from, done };
      say();
      if (done) break;
    }
    $("next").disabled = around.next === null;
    $("previous").disabled = around.previous === null;
  }

  /** How many are shown, and of how many; the server may still be finding more. */
  function say() {
    const { count, first, last, at, done } = shown;
    const { known, complete } = about.lists[state().list ?? Object.keys(about.lists)[0]] ?? { known: 0 };
    const all = `${whole(known)}${complete ? "" : " found so far"}`;
    const which = first === last ? whole(first + 1) : `${whole(first + 1)} to ${whole(last + 1)}`;
    const what = count ? `${whole(count)} shown, number ${which} of ${all}.` : done ? `Nothing found among ${all}.` : "";
    $("status").textContent = done ? what : `${what} Looking on, at ${whole(at + 1)} of ${all} …`.trim();
  }

  function render(row) {
    if (row.entries.length === 1) return renderEntry(row.entries[0]);
    const unlike = row.change === "changed";
    const [left, right] = row.entries.map((entry, i) => {
      if (!entry) return el("div", { class: "absent" }, `not in ${about.sides[i].name}`);
      const article = renderEntry(entry);
      const only = unlike ? onlyIn(entry, row.entries[1 - i]) : [];
      if (only.length) article.append(el("p", { class: "only" }, `only here: ${only.join(", ")}`));
      return article;
    });
    const change = el("p", { class: "change" }, about.changes[row.change]);
    return el("section", { class: "pair", "aria-label": about.changes[row.change] }, change, left, right);
  }

  /** The boxes of a sample that the other one does not have, in words. */
  function onlyIn(entry, other) {
    const there = new Set(boxes(other).map(({ id }) => id));
    return boxes(entry)
      .filter(({ id }) => !there.has(id))
      .map(({ words, score }) => (score === null ? words : `${words} ${score.toFixed(2)}`));
  }

  function boxes(entry) {
    const characters = Array.from(entry.caption);
    return entry.phrases.flatMap((phrase) =>
      phrase.boxes.map(({ box, score, phrase: asked }) => {
        const words = characters.slice(phrase.start, phrase.end).join("") || asked;
        return { id: JSON.stringify([phrase.start, phrase.end, box]), words, score };
      })
    );
  }

  function failed(error) {
    $("status").textContent = `That did not work: ${error.message}`;
  }

  $("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    go(wanted());
  });
  $("show").addEventListener("change", () => go(wanted()));
  $("jump").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("number").value) go({ ...wanted(), from: Number($("number").value) - 1 });
  });
  $("next").addEventListener("click", () => go({ ...state(), direction: "", from: around.next }));
  $("previous").addEventListener("click", () => go({ ...state(), direction: "backwards", from: around.previous }));
  window.addEventListener("popstate", () => load().catch(failed));

  learn().then(load).catch(failed);
})();
