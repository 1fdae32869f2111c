// Draws samples: picture with boxes, caption with spans, conversations, provenance.
//
//     document.body.append(gallery.renderEntry(entry));    // an entry as pipeline/gallery/entry.py has it
//
// What samples hold only ever becomes text nodes, attributes that cannot run, and numbers.
"use strict";

const gallery = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8; // --c0 ... --c7 of gallery.css
  const PIN = 20; // side of a box's number, in CSS pixels
  const WIDTH = 360; // about as wide as pictures are shown
  const FRAME = 4 / 3; // of all pictures, so that captions stand in a line
  let count = 0;

  /** `el("p", {class: "key"}, "text", child)`; attributes of null are left out. */
  function el(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  const colour = (number) => `c${(number - 1) % COLOURS}`;
  const same = (a, b) => a.every((v, i) => Math.abs(v - b[i]) < 1e-9);
  const decimals = (value) => (value === null ? "" : value.toFixed(2));

  /** What is numbered in a sample: phrases in order, then boxes that only conversations speak of. */
  function numbered(entry, characters) {
    const things = entry.phrases.map((phrase, i) => ({
      number: i + 1,
      words: characters.slice(Math.max(phrase.start, 0), phrase.end).join(""),
      boxes: phrase.boxes,
      spoken: false,
    }));
    const numbers = entry.turns.map((turn) =>
      turn.boxes.map((box) => {
        let thing = things.find((t) => t.boxes.some((b) => same(b.box, box)));
        if (!thing) {
          const only = { box, score: null, model: "", phrase: "", checks: {} };
          thing = { number: things.length + 1, words: "", boxes: [only], spoken: true };
          things.push(thing);
        }
        return thing.number;
      })
    );
    return { things, numbers };
  }

  function badge(thing) {
    const what = thing.words ? `: ${thing.words}` : "";
    const kind = thing.boxes.length ? "Box" : "No box";
    return el(
      "button",
      {
        type: "button",
        class: `badge ${colour(thing.number)}`,
        "data-n": thing.number,
        "aria-pressed": "false",
        "aria-label": `${kind} ${thing.number}${what}`,
      },
      String(thing.number)
    );
  }

  /**
   * The caption with its phrases marked. Phrases may nest and cross: at every end the marks that are
   * still open are closed and opened again, so that each piece of text lies in all its marks.
   * Offsets count code points, which is what `characters` holds.
   */
  function caption(entry, characters, things) {
    const size = characters.length;
    const spans = entry.phrases
      .map((phrase, i) => ({
        start: Math.min(Math.max(phrase.start, 0), size),
        end: Math.min(phrase.end, size),
        thing: things[i],
        begun: false,
      }))
      .filter((span) => span.start < span.end);
    const cuts = new Set([0, size]);
    for (const span of spans) cuts.add(span.start).add(span.end);
    const places = [...cuts].sort((a, b) => a - b);
    const paragraph = el("p", { class: "caption", dir: "auto" });
    let open = []; // {span, node}, outermost first
    places.forEach((place, i) => {
      const closing = open.findIndex(({ span }) => span.end <= place);
      const again = closing < 0 ? [] : open.slice(closing).filter(({ span }) => span.end > place);
      if (closing >= 0) open = open.slice(0, closing);
      const starting = spans.filter((span) => span.start === place);
      const opening = [...again.map(({ span }) => span), ...starting].sort((a, b) => b.end - a.end);
      for (const span of opening) {
        const { thing } = span;
        const bare = thing.boxes.length ? "" : " bare";
        const node = el("mark", { class: `${colour(thing.number)}${bare}`, "data-n": thing.number });
        if (!span.begun) node.append(badge(thing));
        span.begun = true;
        (open.length ? open[open.length - 1].node : paragraph).append(node);
        open.push({ span, node });
      }
      const text = characters.slice(place, places[i + 1]).join("");
      if (text) (open.length ? open[open.length - 1].node : paragraph).append(text);
    });
    return paragraph;
  }

  /** The boxes as SVG over the picture; small ones lie on top, so that each can be pointed at. */
  function drawing(image, things) {
    const pins = [];
    const drawn = things
      .flatMap((thing) => thing.boxes.map((view) => ({ thing, view })))
      .sort((a, b) => area(b.view.box) - area(a.view.box));
    const shapes = drawn.map(({ thing, view }) => {
      const [x1, y1, x2, y2] = view.box.map((v) => Math.min(Math.max(v, 0), 1));
      const at = { x: percent(x1), y: percent(y1), width: percent(x2 - x1), height: percent(y2 - y1) };
      const group = { class: `box ${colour(thing.number)}${thing.spoken ? " spoken" : ""}` };
      return svg(
        "g",
        { ...group, "data-n": thing.number },
        svg("rect", { class: "halo", ...at }),
        svg("rect", { class: "line", ...at }),
        pin(thing.number, x1, y1, pins, image)
      );
    });
    const boxes = drawn.length === 1 ? "1 box" : `${drawn.length} boxes`;
    return svg("svg", { class: "boxes", role: "img", "aria-label": `${boxes} over the image` }, ...shapes);
  }

  /** A box's number in its upper left corner, moved on where another number is already. */
  function pin(number, x, y, pins, image) {
    const width = WIDTH * share(image);
    const height = (width * image.height) / image.width;
    const wide = PIN + 7 * (String(number).length - 1);
    const top = Math.min(y * height, height - PIN);
    let left = Math.min(x * width, width - wide);
    for (const p of pins.sort((a, b) => a.left - b.left)) {
      if (Math.abs(p.top - top) < PIN && left < p.left + p.wide && p.left < left + wide) left = p.left + p.wide + 1;
    }
    pins.push({ left, top, wide });
    return svg(
      "svg",
      { x: percent(left / width), y: percent(top / height), overflow: "visible" },
      svg("rect", { class: "pin", width: wide, height: PIN, rx: 2 }),
      svg("text", { x: wide / 2, y: PIN / 2, dy: "0.35em", "text-anchor": "middle" }, String(number))
    );
  }

  const percent = (part) => `${(part * 100).toFixed(3)}%`;
  /** Of the frame's width, what a picture takes: tall ones leave some at their sides. */
  const share = (image) => Math.min(1, image.width / image.height / FRAME);
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

  function picture(entry, things) {
    if (!entry.image) return el("p", { class: "missing" }, "The image is not at hand.");
    const { src, width, height } = entry.image;
    const size = { width, height, loading: "lazy", decoding: "async" };
    const img = el("img", { src, ...size, alt: `Image of sample ${entry.key}` });
    const frame = el("div", { class: "frame" }, img, drawing(entry.image, things));
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.width = percent(share(entry.image));
    return el("div", { class: "picture" }, frame);
  }

  function conversation(entry, things, numbers) {
    const rows = entry.turns.flatMap((turn, i) => {
      const said = el("dd", { dir: "auto" });
      for (const piece of turn.text.split(/(<region:[0-9]{1,9}>|<image>)/)) {
        const region = /^<region:([0-9]+)>$/.exec(piece);
        const number = region && numbers[i][Number(region[1])];
        if (number) said.append(badge(things[number - 1]));
        else if (piece === "<image>") said.append(el("span", { class: "token" }, "image"));
        else if (piece) said.append(piece);
      }
      return [el("dt", { class: turn.role === "human" ? "human" : "assistant" }, turn.role), said];
    });
    return el("dl", { class: "turns", "aria-label": "Conversation" }, ...rows);
  }

  /** `agreement, max_area passed; similarity failed`, failures first. */
  function checks(view) {
    const names = (wanted) => Object.keys(view.checks).filter((name) => view.checks[name] === wanted).join(", ");
    const [failed, passed] = [names(false), names(true)];
    return [
      ...(failed ? [el("strong", {}, `failed ${failed}`)] : []),
      ...(failed && passed ? ["; "] : []),
      ...(passed ? [`passed ${passed}`] : []),
    ];
  }

  /** One table row a box: number, words asked for, score, model; below it what was checked. */
  function boxTable(things) {
    const head = ["", "asked for", "score", "model"].map((t) => el("th", { scope: "col" }, t));
    const rows = things
      .filter((thing) => !thing.spoken)
      .flatMap((thing) => thing.boxes.map((view) => ({ thing, view })))
      .flatMap(({ thing, view }) => {
        const said = checks(view);
        const row = el(
          "tr",
          {},
          el("td", {}, String(thing.number)),
          el("td", {}, view.phrase || thing.words),
          el("td", { class: "number" }, decimals(view.score)),
          el("td", {}, view.model)
        );
        if (!said.length) return [row];
        return [row, el("tr", { class: "checks" }, el("td"), el("td", { colspan: 3 }, ...said))];
      });
    head[0].append(el("span", { class: "unseen" }, "box"));
    head[2].className = "number";
    return rows.length ? [el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))] : [];
  }

  /** Any JSON as definition lists within one another. */
  function tree(value) {
    if (value === null || typeof value !== "object") return el("span", {}, String(value));
    const list = el("dl", { class: "tree" });
    for (const [name, item] of Object.entries(value)) list.append(el("dt", {}, name), el("dd", {}, tree(item)));
    return Object.keys(value).length ? list : el("span", {}, Array.isArray(value) ? "[]" : "{}");
  }

  function provenance(entry, things) {
    const details = el("details", { class: "provenance" }, el("summary", {}, "Provenance"));
    details.addEventListener(
      "toggle",
      () => details.append(el("div", {}, ...boxTable(things), tree(entry.provenance))),
      { once: true }
    );
    return details;
  }

  function verdict(entry) {
    if (!entry.reason) return [];
    const measured = [];
    if (entry.value) measured.push(" ", el("span", { class: "value" }, entry.value));
    if (entry.threshold) measured.push(" against ", el("span", { class: "value" }, entry.threshold));
    const stage = el("span", { class: "stage" }, entry.stage || "");
    return [el("p", { class: "verdict" }, stage, " ", el("strong", {}, entry.reason), ...measured)];
  }

  /** Pointing at a number anywhere shows it everywhere in the sample; a click or Enter keeps it shown. */
  function link(article) {
    let pinned = null;
    const show = (n) => {
      article.classList.toggle("is-pointing", n !== null);
      for (const node of article.querySelectorAll("[data-n]")) {
        node.classList.toggle("is-shown", node.dataset.n === n);
        if (node.tagName === "BUTTON") node.setAttribute("aria-pressed", String(node.dataset.n === pinned));
      }
    };
    const pointed = (event) => event.target.closest("[data-n]")?.dataset.n ?? pinned;
    article.addEventListener("pointerover", (event) => event.pointerType !== "touch" && show(pointed(event)));
    article.addEventListener("pointerleave", () => show(pinned));
    article.addEventListener("focusin", (event) => show(pointed(event)));
    article.addEventListener("focusout", () => show(pinned));
    article.addEventListener("click", (event) => {
      const n = event.target.closest("[data-n]")?.dataset.n;
      if (n === undefined) return;
      pinned = pinned === n ? null : n;
      show(pinned);
    });
    article.addEventListener("keydown", (event) => {
      if (event.key === "Escape") show((pinned = null));
    });
  }

  /** An entry (pipeline/gallery/entry.py) as an `<article>`. */
  function renderEntry(entry) {
    const characters = Array.from(entry.caption);
    const { things, numbers } = numbered(entry, characters);
    const id = `entry-${(count += 1)}`;
    const article = el(
      "article",
      { class: "entry", "aria-labelledby": id },
      picture(entry, things),
      el(
        "div",
        { class: "words" },
        el("h3", { id, class: "key" }, entry.key),
        ...verdict(entry),
        caption(entry, characters, things),
        ...(entry.turns.length ? [conversation(entry, things, numbers)] : []),
        provenance(entry, things)
      )
    );
    link(article);
    return article;
  }

  return { COLOURS, el, svg, renderEntry };
})();
