// Is a .glb one for others? Khronos' validator, and three.js, which reads it as it reads the PLY it was made from, but for
// the axes: y and z change sign.
//   node gltf.mjs MODULES scene.glb scene.ply

import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, glbName, plyName] = process.argv.slice(2);
const bytes = (name) => new Uint8Array(fs.readFileSync(name)).buffer;
const three = (name) => import(pathToFileURL(`${modules}/three/${name}`));
const check = (good, text) => {
  if (!good) {
    throw new Error(text);
  }
};

// It does not know the extension, so it takes the attributes of that for misspelt ones.
const { validateBytes } = createRequire(`${modules}/`)("gltf-validator");
const { issues } = await validateBytes(new Uint8Array(bytes(glbName)));
const known = ({ code, pointer }) =>
  code === "UNSUPPORTED_EXTENSION" ||
  (code === "MESH_PRIMITIVE_INVALID_ATTRIBUTE" && pointer.includes("/KHR_gaussian_splatting:"));
const found = issues.messages.filter((message) => !known(message));
check(!issues.truncated && found.length === 0, JSON.stringify(found, null, 1));

globalThis.self ??= globalThis;
globalThis.ProgressEvent ??= class {};
const { GLTFLoader } = await three("examples/jsm/loaders/GLTFLoader.js");
const { GLTFGaussianSplatLoaderExtension } = await three("examples/jsm/loaders/GLTFGaussianSplatLoaderExtension.js");
const { GaussianSplatPLYLoader } = await three("examples/jsm/loaders/GaussianSplatPLYLoader.js");
const loader = new GLTFLoader().register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
const { scene } = await loader.parseAsync(bytes(glbName), "");
let splat;
scene.traverse((object) => (splat = object.isGaussianSplat || object.type === "GaussianSplat" ? object : splat));
const plain = new GaussianSplatPLYLoader().parse(bytes(plyName));
const numbers = (name) => [splat, plain].map((s) => (s.splatGeometry ?? s).getAttribute(name)?.array);

const compare = (name, signs, most) => {
  const [a, b] = numbers(name);
  check(a.length === b.length && a.length > 0, `${name}: ${a.length} and ${b.length} numbers`);
  a.forEach((x, i) => {
    const y = signs[i % signs.length] * b[i];
    check(Math.abs(x - y) <= most * Math.max(1e-6, Math.abs(y)), `${name} ${i}: ${x} and ${y}`);
  });
  return a.length / signs.length;
};
const count = compare("position", [1, -1, -1], 0);
// xx, xy, xz, yy, yz, zz.
compare("covariance", [1, -1, -1, 1, 1, 1], 1e-4);
compare("color", [1, 1, 1, 1], 0.02);
// Three channels a coefficient, as bytes about 128; the signs of y, z, x and so on under y -> -y, z -> -z.
const parity = { 1: [-1, -1, 1], 2: [-1, 1, 1, -1, 1], 3: [-1, 1, -1, -1, 1, -1, 1] };
let highest = 0;
for (const degree of [1, 2, 3]) {
  const both = numbers(`sphericalHarmonics${degree}`);
  check((both[0] === undefined) === (both[1] === undefined), `one has degree ${degree}`);
  if (both[0] === undefined) {
    break;
  }
  highest = degree;
  const [a, b] = both.map((words) => new Uint8Array(words.buffer));
  const stride = a.length / count;
  for (let i = 0; i < count; i++) {
    parity[degree].forEach((sign, m) => {
      for (let c = 0; c < 3; c++) {
        const at = i * stride + 3 * m + c;
        check(Math.abs(a[at] - 128 - sign * (b[at] - 128)) <= 1, `degree ${degree}, byte ${at}: ${a[at]}, ${b[at]}`);
      }
    });
  }
}
console.log(`glTF: valid, and three.js reads ${count} Gaussians of degree ${highest} as those of the PLY`);
