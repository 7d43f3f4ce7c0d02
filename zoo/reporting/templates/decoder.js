// Decoders that run here: lists of layers on numbers, or on maps laid out as (C, H, W).
"use strict";
const DIGITS =
  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;,=.?@^_`{|}~";

// Whole numbers of 16 bits of base 85, deflated; all low bytes stand before the high ones.
async function numbersOf(text, size) {
  const view = new DataView(new ArrayBuffer(text.length / 5 * 4)), digit = {};
  [...DIGITS].forEach((character, n) => { digit[character] = n; });
  for (let n = 0; n < text.length; n += 5) {
    let number = 0;
    for (let k = n; k < n + 5; k++) number = number * 85 + digit[text[k]];
    view.setUint32(n / 5 * 4, number);
  }
  const packed = new Blob([view.buffer.slice(0, size)]).stream();
  const whole = await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const bytes = new Uint8Array(whole), count = bytes.length / 2;
  return Int16Array.from({ length: count }, (_, n) => bytes[n] | bytes[count + n] << 8);
}

// The weights of each layer, those of a layer before those of its branches.
function unpack(layers, numbers, from = 0) {
  for (const layer of layers) {
    layer.weights = layer.weights.map(({ size, step }) => {
      const start = from;
      from += size.reduce((product, side) => product * side, 1);
      return Object.assign(Float32Array.from(numbers.subarray(start, from), (n) => n * step), { size });
    });
    for (const branch of layer.branches) from = unpack(branch, numbers, from);
  }
  return from;
}

const run = (layers, x) => layers.reduce((made, layer) => LAYERS[layer.kind](made, layer), x);
const each = (x, change) => Object.assign(x.map(change), { size: x.size });
const maps = (size) => Object.assign(new Float32Array(size[0] * size[1] * size[2]), { size });
const sigmoid = (v) => 1 / (1 + Math.exp(-v));

const LAYERS = {
  scale: (x, { weights: [scale] }) => each(x, (v, n) => v * scale[n]),
  relu: (x) => each(x, (v) => Math.max(v, 0)),
  silu: (x) => each(x, (v) => v * sigmoid(v)),
  sigmoid: (x) => each(x, sigmoid),

  linear(x, { weights: [weight, bias] }) {
    return bias.map((constant, row) => {
      let sum = constant;
      for (let n = 0, at = row * x.length; n < x.length; n++) sum += weight[at + n] * x[n];
      return sum;
    });
  },

  maps(x, { shape, last }) {
    if (!last) return Object.assign(x.slice(), { size: shape });
    const [height, width, channels] = shape, out = maps([channels, height, width]);
    for (let n = 0; n < x.length; n++) out[n % channels * height * width + Math.floor(n / channels)] = x[n];
    return out;
  },

  conv(x, { weights: [weight, bias] }) {
    const [channels, height, width] = x.size, side = weight.size[3], edge = side >> 1;
    const out = maps([bias.length, height, width]), plane = height * width;
    for (let o = 0, at = 0; o < bias.length; o++) {
      out.fill(bias[o], o * plane, (o + 1) * plane);
      for (let i = 0; i < channels; i++)
        for (let dy = -edge; dy <= edge; dy++)
          for (let dx = -edge; dx <= edge; dx++) {
            const factor = weight[at++], right = Math.min(width, width - dx);
            for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
              const to = o * plane + y * width, from = i * plane + (y + dy) * width + dx;
              for (let z = Math.max(0, -dx); z < right; z++) out[to + z] += factor * x[from + z];
            }
          }
    }
    return out;
  },

  shuffle(x) {
    const [channels, height, width] = x.size, out = maps([channels / 4, 2 * height, 2 * width]);
    for (let n = 0; n < x.length; n++) {
      const c = Math.floor(n / (height * width)), y = Math.floor(n / width) % height, z = n % width;
      const row = (c >> 2) * 2 * height + 2 * y + (c >> 1 & 1);
      out[row * 2 * width + 2 * z + (c & 1)] = x[n];
    }
    return out;
  },

  crop(x, { size: [height, width] }) {
    const [channels, , wide] = x.size, high = x.size[1], out = maps([channels, height, width]);
    for (let n = 0; n < out.length; n++) {
      const c = Math.floor(n / (height * width)), y = Math.floor(n / width) % height;
      out[n] = x[(c * high + y) * wide + n % width];
    }
    return out;
  },

  add(x, { branches }) {
    const made = run(branches[0], x);
    return each(made, (v, n) => v + x[n]);
  },

  multiply(x, { branches }) {
    const [one, other] = branches.map((branch) => run(branch, x));
    return each(one, (v, n) => v * other[n]);
  },
};

// A decoder of a model: from a code, and the class it is told, to pixels.
class Decoder {
  constructor(spec) { Object.assign(this, spec); }

  async wake() {
    unpack(this.layers, await numbersOf(this.weights, this.bytes));
    this.weights = null;
  }

  decode(code, told = 0) {
    const classes = Array.from({ length: this.classes }, (_, n) => Number(n === told));
    return run(this.layers, Float32Array.from([...code, ...classes]));
  }

  paint(canvas, code, told) {
    const [channels, height, width] = this.shape, made = this.decode(code, told);
    const image = new ImageData(width, height);
    for (let n = 0; n < height * width; n++) {
      for (let c = 0; c < 3; c++) {
        image.data[4 * n + c] = 255 * made[(channels === 3 ? c : 0) * height * width + n];
      }
      image.data[4 * n + 3] = 255;
    }
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // Where codes may be: each part flat, or a sphere of unit vectors.
  byPart(codes, change) {
    let start = 0;
    return this.parts.flatMap(([kind, width]) => {
      const pieces = codes.map((code) => code.slice(start, start + width));
      start += width;
      return change(kind === "sphere", ...pieces);
    });
  }

  projected(code) { return this.byPart([code], (round, part) => round ? unit(part) : part); }

  // A code on the shortest way from one to another.
  between(one, other, share) {
    return this.byPart([one, other], (round, a, b) => {
      const angle = round ? Math.acos(Math.max(-1, Math.min(1, dot(a, b)))) : 0;
      if (angle < 1e-4) return sum(a, 1 - share, b, share);
      return sum(a, Math.sin((1 - share) * angle) / Math.sin(angle),
        b, Math.sin(share * angle) / Math.sin(angle));
    });
  }

  // A code with one coordinate set; on a sphere the others of its part make room.
  moved(code, place, value) {
    let start = 0;
    return this.byPart([code], (round, part) => {
      const own = place - start;
      start += part.length;
      if (own < 0 || own >= part.length) return part;
      const rest = Math.sqrt(part.reduce((total, v, n) => total + (n === own ? 0 : v * v), 0));
      const room = round ? Math.sqrt(Math.max(0, 1 - value * value)) / (rest || 1) : 1;
      return part.map((v, n) => n === own ? value : v * room);
    });
  }

  // A code of the prior: normal, on a sphere uniform.
  drawn() {
    const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    return this.projected(Array.from(this.codes[0], normal));
  }
}

const dot = (a, b) => a.reduce((total, v, n) => total + v * b[n], 0);
const sum = (a, x, b, y) => a.map((v, n) => x * v + y * b[n]);
const unit = (a) => a.map((v) => v / (Math.hypot(...a) || 1));
