// The galleries of a report: a few samples at first, more when asked for, those that are searched for.
{
  const { el, renderEntry } = gallery;
  const AT_ONCE = { kept: 24, dropped: 4 };
  const data = JSON.parse(document.getElementById("data").textContent);
  const shown = [];

  /** What a search looks into. */
  const text = (entry) =>
    [entry.key, entry.caption, ...entry.phrases.flatMap((p) => p.boxes.map((b) => b.phrase))].join("\n").toLowerCase();

  const withPicture = (entry) => {
    if (!entry.image) return entry;
    return { ...entry, image: { ...entry.image, src: data.pictures[Number(entry.image.src.slice(1))] } };
  };

  function begin(place) {
    const name = place.dataset.list;
    const entries = name === "kept" ? data.kept : data.dropped[Number(place.dataset.number)];
    const texts = entries.map(text);
    const grid = el("div", { class: "entries" });
    const more = el("button", { type: "button", class: "more" });
    let found = entries;
    let drawn = 0;

    function draw() {
      const next = found.slice(drawn, drawn + AT_ONCE[name]).map((entry) => renderEntry(withPicture(entry)));
      grid.append(...next);
      drawn += next.length;
      more.hidden = drawn >= found.length;
      more.textContent = `Show ${Math.min(AT_ONCE[name], found.length - drawn)} more of ${found.length - drawn}`;
      return next;
    }

    more.addEventListener("click", () => {
      const [first] = draw();
      first.tabIndex = -1;
      first.focus({ preventScroll: true });
    });
    place.append(grid, more);
    draw();
    return (words) => {
      found = entries.filter((_, i) => texts[i].includes(words));
      drawn = 0;
      grid.replaceChildren();
      draw();
      const group = place.closest(".group");
      if (group) group.hidden = words !== "" && !found.length;
      return found.length;
    };
  }

  for (const place of document.querySelectorAll(".gallery")) shown.push(begin(place));
  const query = document.getElementById("query");
  query?.addEventListener("input", () => {
    const words = query.value.trim().toLowerCase();
    const count = shown.map((search) => search(words)).reduce((a, b) => a + b, 0);
    const what = count === 1 ? "1 sample, kept or dropped" : `${count} samples, kept or dropped`;
    document.getElementById("found").textContent = words ? what : "";
  });
}
