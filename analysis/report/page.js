// Points answer to the pointer and to arrow keys; buttons hide the points of a width, a depth, an η.
// Everything is read from the page itself: the table of a law's points, and the figure's groups of elements.
"use strict";

const NEAR = 18; // CSS pixels from a point at which it answers
const MOST_BUTTONS = 12;
const UNTOGGLED = new Set(["seed", "seeds", "x", "y", "95 % interval"]);

function make(tag, properties, parent) {
  const element = Object.assign(document.createElement(tag), properties);
  parent.append(element);
  return element;
}

/** The points of a law that are both listed and drawn: their row, their marker, all that hides with them. */
function pointsOf(law, svg) {
  const group = (name) => svg.querySelector(`#${CSS.escape(`${law.dataset.law}-${name}`)}`);
  const inside = (name, tag) => [...(group(name)?.querySelectorAll(tag) ?? [])];
  const bySeries = new Map();
  for (const row of law.querySelectorAll("tr[data-series]"))
    bySeries.set(row.dataset.series, [...(bySeries.get(row.dataset.series) ?? []), row]);
  return [...bySeries].flatMap(([series, rows]) => {
    const marks = inside(`series-${series}`, "use");
    if (marks.length !== rows.length) return []; // drawn as one picture, for their number
    const bars = [inside(`bars-${series}`, "path"), ...[0, 1].map((end) => inside(`caps-${series}-${end}`, "use"))];
    return rows.map((row, i) => ({
      row, mark: marks[i], drawn: [marks[i], ...bars.map((elements) => elements[i]).filter(Boolean)],
      texts: [...row.cells].map((cell) => cell.textContent), hidden: false,
    }));
  });
}

function centre(point) {
  const box = point.mark.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}

function answer(figure, svg, heads, points) {
  const tip = make("div", { className: "tip", hidden: true }, figure);
  tip.setAttribute("role", "status");
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  let chosen = null;
  const choose = (point) => {
    chosen = point;
    tip.hidden = !point;
    ring.remove();
    if (!point) return;
    for (const [name, value] of [["class", "ring"], ["r", 4], ["cx", point.mark.getAttribute("x")], ["cy", point.mark.getAttribute("y")]])
      ring.setAttribute(name, value);
    svg.append(ring);
    tip.replaceChildren();
    heads.forEach((head, i) => {
      if (!point.texts[i]) return;
      make("span", { textContent: head }, tip);
      make("b", { textContent: point.texts[i] }, tip);
    });
    const frame = figure.getBoundingClientRect(), [x, y] = centre(point);
    const left = Math.min(x - frame.x + 12, frame.width - tip.offsetWidth);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${y - frame.y + 12}px`;
  };
  const point = (event) => {
    let best = null, least = NEAR;
    for (const each of points) {
      if (each.hidden) continue;
      const [x, y] = centre(each), distance = Math.hypot(x - event.clientX, y - event.clientY);
      if (distance < least) [best, least] = [each, distance];
    }
    if (best !== chosen) choose(best);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", () => choose(null));
  svg.addEventListener("blur", () => choose(null));
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const shown = points.filter((each) => !each.hidden);
    if (event.key === "Escape") choose(null);
    if (!step || !shown.length) return;
    event.preventDefault();
    choose(shown[(shown.indexOf(chosen) + step + shown.length) % shown.length]);
  });
  return () => choose(null);
}

/** What the tab keeps of a law while a watched page loads anew; nothing where the browser keeps nothing. */
function kept(law) {
  const key = `${location.pathname} ${law.dataset.law}`;
  const tried = (what) => { try { return what(); } catch { return null; } };
  return {
    read: () => tried(() => JSON.parse(sessionStorage.getItem(key))) ?? [],
    write: (values) => tried(() => sessionStorage.setItem(key, JSON.stringify(values))),
  };
}

function toggles(law, figure, svg, heads, points, forget) {
  const memory = kept(law), off = new Set(memory.read()); // "head value"
  const apply = () => {
    memory.write([...off]);
    forget();
    for (const each of points) {
      each.hidden = each.texts.some((text, i) => off.has(`${heads[i]} ${text}`));
      each.row.hidden = each.hidden;
      for (const element of each.drawn) element.style.display = each.hidden ? "none" : "";
    }
    for (const fit of svg.querySelectorAll(`[id^="${law.dataset.law}-fit-"]`))
      fit.style.display = off.has(`depth ${fit.id.split("-").pop()}`) ? "none" : "";
  };
  heads.forEach((head, column) => {
    const number = (text) => (text === "∞" ? Infinity : Number(text));
    const values = [...new Set(points.map((each) => each.texts[column]))].filter(Boolean)
      .sort((a, b) => number(a) - number(b));
    if (UNTOGGLED.has(head) || values.length < 2 || values.length > MOST_BUTTONS) return;
    const row = make("div", { className: "toggles" }, figure);
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", `show ${head}`);
    make("span", { textContent: head }, row);
    for (const value of values) {
      const button = make("button", { type: "button", textContent: value }, row);
      const key = `${head} ${value}`;
      button.setAttribute("aria-pressed", String(!off.has(key)));
      button.addEventListener("click", () => {
        const hide = !off.has(key);
        if (hide) off.add(key); else off.delete(key);
        button.setAttribute("aria-pressed", String(!hide));
        apply();
      });
    }
  });
  if (figure.querySelector(".toggles"))
    make("p", { className: "quiet hint", textContent: "Press a value to hide its points, and again to show them." }, figure);
  apply();
}

for (const law of document.querySelectorAll("section[data-law]")) {
  const figure = law.querySelector("figure"), svg = figure.querySelector("svg");
  const heads = [...law.querySelectorAll(".points th")].map((head) => head.textContent);
  const points = pointsOf(law, svg);
  if (points.length) toggles(law, figure, svg, heads, points, answer(figure, svg, heads, points));
}
