// What steers the decoders: sliders, a pad or a globe, and a walk from one image to another.
"use strict";
const make = (tag, settings, ...inside) => {
  const made = Object.assign(document.createElement(tag), settings);
  made.append(...inside);
  return made;
};

// Two directions of a code to move in. Each pad knows `at`, the code at (x, y) in [-1, 1], and
// draws what lies where.
class Plane {
  constructor(decoder) {
    this.decoder = decoder;
    [this.i, this.j] = decoder.order;
    this.words = `Dimensions ${this.i} and ${this.j} of the code`;
  }
  begin() {}
  place(code) {
    return [code[this.i] / this.decoder.reach[this.i], code[this.j] / this.decoder.reach[this.j]];
  }
  at(x, y, code) {
    const once = this.decoder.moved(code, this.i, x * this.decoder.reach[this.i]);
    return this.decoder.moved(once, this.j, y * this.decoder.reach[this.j]);
  }
  marks() { return this.decoder.codes.map((code) => this.place(code)); }
}

// Great circles through a code: its antipode is all around at the rim.
class Circles {
  constructor(decoder) {
    this.decoder = decoder;
    this.words = "Great circles from the code, its antipode all around";
  }
  begin(code) {
    const axis = (n) => code.map((_, k) => Number(k === this.decoder.order[n]));
    const tangent = (a, to) => unit(to.reduce((left, b) => sum(left, 1, b, -dot(left, b)), a));
    this.base = code;
    this.right = tangent(axis(0), [code]);
    this.up = code.length > 2 ? tangent(axis(1), [code, this.right]) : this.right;
    this.here = [0, 0];
  }
  place() { return this.here; }
  at(x, y) {
    const far = Math.hypot(x, y), turn = Math.PI * Math.min(far, 1);
    this.here = far > 1 ? [x / far, y / far] : [x, y];
    const way = unit(sum(this.right, x, this.up, y));
    return far < 1e-6 ? this.base : unit(sum(this.base, Math.cos(turn), way, Math.sin(turn)));
  }
  marks() { return []; }
}

// A sphere in R^3: it is turned, and the point in the middle is the code.
class Globe {
  constructor(decoder) {
    this.decoder = decoder;
    this.turns = true;
    this.words = "The sphere; the point in its middle is the code";
  }
  begin(code) {
    const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
    const pole = Math.abs(code[2]) < 0.99 ? [0, 0, 1] : [0, 1, 0];
    this.right = unit(cross(pole, code));
    this.up = cross(code, this.right);
    this.toward = code;
  }
  place() { return [0, 0]; }
  turn(dx, dy) {
    const [right, up] = [this.right, this.up];
    this.right = unit(sum(right, Math.cos(dx), this.toward, Math.sin(dx)));
    const middle = unit(sum(this.toward, Math.cos(dx), right, -Math.sin(dx)));
    this.up = unit(sum(up, Math.cos(dy), middle, Math.sin(dy)));
    this.toward = unit(sum(middle, Math.cos(dy), up, -Math.sin(dy)));
    return this.toward;
  }
  marks() {
    return this.decoder.codes.map((code) =>
      dot(code, this.toward) < 0 ? null : [dot(code, this.right), dot(code, this.up)]);
  }
}

const padOf = (decoder) => {
  const [[kind, width]] = decoder.parts;
  if (decoder.parts.length === 1 && kind === "sphere") {
    return width === 3 ? new Globe(decoder) : new Circles(decoder);
  }
  return decoder.order.length > 1 ? new Plane(decoder) : null;
};

function explore(section, decoders) {
  const find = (name) => section.querySelector(name);
  const [made, pad, which, told] = [".made", ".pad", ".which", ".told"].map(find);
  let decoder, steer, code, sliders = [];

  const show = () => {
    decoder.paint(made, code, Number(told.value));
    Object.assign(made.dataset, { code: JSON.stringify(code), model: decoder.model });
    sliders.forEach(({ input, output, place }) => {
      input.value = code[place];
      output.value = code[place].toFixed(2).replace("-", "−");
    });
    if (steer) draw();
  };
  const go = (to) => { code = to; steer?.begin(code); show(); };

  const draw = () => {
    const side = pad.width, ink = getComputedStyle(pad), brush = pad.getContext("2d");
    const pixel = ([x, y]) => [side / 2 + x * side * 0.46, side / 2 - y * side * 0.46];
    brush.clearRect(0, 0, side, side);
    brush.strokeStyle = ink.borderTopColor;
    brush.beginPath();
    if (steer instanceof Plane) brush.rect(0.04 * side, 0.04 * side, 0.92 * side, 0.92 * side);
    else brush.arc(side / 2, side / 2, 0.46 * side, 0, 2 * Math.PI);
    brush.moveTo(side / 2, 0.04 * side); brush.lineTo(side / 2, 0.96 * side);
    brush.moveTo(0.04 * side, side / 2); brush.lineTo(0.96 * side, side / 2);
    brush.stroke();
    Object.assign(brush, { fillStyle: ink.color, font: `${side / 17}px system-ui`,
      textAlign: "center", textBaseline: "middle" });
    steer.marks().forEach((mark, n) => mark && brush.fillText(decoder.labels[n] ?? n + 1, ...pixel(mark)));
    brush.beginPath();
    brush.arc(...pixel(steer.place(code)), side / 34, 0, 2 * Math.PI);
    brush.fillStyle = ink.accentColor;
    brush.fill();
  };

  const moveBy = (dx, dy) => {
    const [x, y] = steer.place(code);
    const within = (v) => Math.max(-1, Math.min(1, v));
    code = steer.turns ? steer.turn(-dx * 2, -dy * 2) : steer.at(within(x + dx), within(y + dy), code);
    show();
  };
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };
    if (!step[event.key]) return;
    event.preventDefault();
    moveBy(...step[event.key]);
  });
  pad.addEventListener("pointerdown", (event) => pad.setPointerCapture(event.pointerId));
  for (const kind of ["pointerdown", "pointermove"]) {
    pad.addEventListener(kind, (event) => {
      if (!pad.hasPointerCapture(event.pointerId)) return;
      const box = pad.getBoundingClientRect(), scale = 2 / (0.92 * box.width);
      if (steer.turns) code = steer.turn(event.movementX * scale, -event.movementY * scale);
      else {
        const far = [event.clientX - box.x - box.width / 2, box.y + box.height / 2 - event.clientY];
        code = steer.at(...far.map((v) => Math.max(-1, Math.min(1, v * scale))), code);
      }
      show();
    });
  }

  const slider = (place) => {
    const reach = decoder.reach[place], output = make("output");
    const input = make("input", { type: "range", min: -reach, max: reach, step: "any" });
    input.addEventListener("input", () => go(decoder.moved(code, place, Number(input.value))));
    find(".sliders").append(make("label", {}, make("span", { textContent: `z${place}` }), input, output));
    return { input, output, place };
  };

  const choose = () => {
    decoder = decoders.find((each) => each.model === which.value);
    steer = padOf(decoder);
    const classes = Array.from({ length: decoder.classes }, (_, n) => n);
    told.replaceChildren(...classes.map((n) => make("option", { value: n, textContent: n })));
    told.parentElement.hidden = !decoder.classes;
    find(".steer").hidden = !steer;
    find(".words").textContent = steer?.words ?? "";
    pad.setAttribute("aria-label", `${steer?.words}. Drag, or use the arrow keys.`);
    find(".random").hidden = !decoder.random;
    find(".sliders").replaceChildren();
    sliders = decoder.order.map(slider);
    find(".starts").replaceChildren(...decoder.codes.map((start, n) => {
      const canvas = make("canvas");
      decoder.paint(canvas, start, decoder.labels[n]);
      const known = n in decoder.labels ? `, class ${decoder.labels[n]}` : "";
      const named = `The code of image ${n + 1}${known}`;
      const button = make("button", { title: named, ariaLabel: named }, canvas);
      button.addEventListener("click", () => {
        if (decoder.classes) told.value = decoder.labels[n];
        go(start);
      });
      return button;
    }));
    if (decoder.classes) told.value = decoder.labels[0];
    go(decoder.codes[0]);
  };

  which.append(...decoders.map((each) => make("option", { textContent: each.model })));
  which.addEventListener("change", choose);
  told.addEventListener("change", show);
  find(".random").addEventListener("click", () => go(decoder.drawn()));
  choose();
}

// All models on their ways between the codes of the same two images.
function walk(section, decoders) {
  const [from, to, way, row] =
    [".from", ".to", ".way", ".walkers"].map((name) => section.querySelector(name));
  const named = (_, n) => make("option", { value: n, textContent: decoders[0].labels[n] ?? n + 1 });
  from.append(...decoders[0].codes.map(named));
  to.append(...decoders[0].codes.map(named));
  to.selectedIndex = Math.min(3, to.options.length - 1);
  const canvases = decoders.map((each) => {
    const canvas = make("canvas", { role: "img", ariaLabel: `${each.model} on its way` });
    row.append(make("figure", {}, canvas, make("figcaption", { textContent: each.model })));
    return canvas;
  });
  const show = () => decoders.forEach((each, n) => {
    const code = each.between(each.codes[from.value], each.codes[to.value], Number(way.value));
    each.paint(canvases[n], code, each.labels[from.value]);
    Object.assign(canvases[n].dataset, { code: JSON.stringify(code), model: each.model });
  });
  for (const input of [from, to, way]) input.addEventListener("input", show);
  show();
}

for (const section of document.querySelectorAll(".living")) {
  new IntersectionObserver(async (seen, observer) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    observer.disconnect();
    const decoders = JSON.parse(section.querySelector(".specs").textContent).map((spec) => new Decoder(spec));
    for (const each of decoders) await each.wake();
    for (const part of section.querySelectorAll("[hidden]")) part.hidden = false;
    explore(section, decoders);
    walk(section, decoders);
    section.dataset.ready = "";
  }, { rootMargin: "400px" }).observe(section);
}
