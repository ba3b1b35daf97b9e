// The page of `splat view`: one scene; drag or one finger to orbit, wheel or two fingers to zoom, right drag to move.
//
// World coordinates are the scene's own; only the camera is turned to them. What is up cannot be read off a scene without
// cameras (COLMAP: -y, others: z or y), so it can be turned.
// The server says in view.json where to stand; nothing is fetched from anywhere but that server.
// <html data-state> is loading, ready or failed, and data-eye is where the last picture was taken, for whoever drives the page.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkRenderer, SplatFileType, SplatMesh } from "@sparkjsdev/spark";

const root = document.documentElement;
const status = document.getElementById("status");

function say(state, text) {
  root.dataset.state = state;
  status.textContent = text;
}

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }
  return answer;
}

async function main() {
  say("loading", "loading");
  const view = await (await fetched("view.json")).json();
  document.title = `${view.name} - splat view`;
  say("loading", `loading ${view.name}: ${view.gaussians.toLocaleString()} Gaussians`);

  const canvas = document.getElementById("picture");
  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: false, preserveDrawingBuffer: true });
  } catch {
    throw new Error(
      "This browser has no WebGL 2. Turn on hardware acceleration in its settings, or open this address in another browser.",
    );
  }
  renderer.setPixelRatio(window.devicePixelRatio);
  const background = new THREE.Color().setRGB(...view.background, THREE.SRGBColorSpace);
  renderer.setClearColor(background, 1);

  const camera = new THREE.PerspectiveCamera(view.fov_y, 1, view.near, view.far);
  const target = new THREE.Vector3(...view.target);
  const scene = new THREE.Scene();
  let asked = false;
  // On demand: a picture that would be the same again is not drawn.
  function draw() {
    if (!asked) {
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        renderer.render(scene, camera);
        root.dataset.eye = camera.position.toArray().join(" ");
      });
    }
  }
  // Depth order and the 0.3 px of blur as the trainer's rasterizer has them.
  const spark = new SparkRenderer({
    renderer,
    onDirty: draw,
    sortRadial: false,
    preBlurAmount: view.antialiasing ? 0.0 : 0.3,
    blurAmount: view.antialiasing ? 0.3 : 0.0,
  });
  scene.add(spark);

  const bytes = new Uint8Array(await (await fetched("scene.ply")).arrayBuffer());
  const splats = new SplatMesh({ fileBytes: bytes, fileType: SplatFileType.PLY, extSplats: true });
  scene.add(splats);
  await splats.initialized;

  function fit() {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    renderer.setSize(width, height, false);
    camera.aspect = width / Math.max(height, 1);
    // A window narrower than what is to be seen, such as a phone's, shows more above and below: no side is cut off.
    const half = Math.tan((view.fov_y * Math.PI) / 360) * Math.max(1, view.aspect / camera.aspect);
    camera.fov = Math.min((360 / Math.PI) * Math.atan(half), 150);
    camera.updateProjectionMatrix();
  }

  // The controls keep the up that they began with, so each up has its own.
  let controls;
  function stand(up, eye) {
    controls?.dispose();
    camera.up.copy(up);
    camera.position.copy(eye);
    controls = new OrbitControls(camera, canvas);
    controls.target.copy(target);
    controls.enableDamping = false;
    controls.update();
    controls.saveState();
    controls.addEventListener("change", draw);
    draw();
  }
  const first = new THREE.Vector3(...view.up);
  stand(first, new THREE.Vector3(...view.eye));

  const sides = [first];
  for (const side of [[0, -1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0]]) {
    const up = new THREE.Vector3(...side);
    if (up.angleTo(first) > 0.5) {
      sides.push(up);
    }
  }
  function turn() {
    sides.push(sides.shift());
    const up = sides[0];
    if (up === first) {
      stand(first, new THREE.Vector3(...view.eye));
      return;
    }
    // As far away as before, a little from above.
    const away = new THREE.Vector3(...view.eye).sub(target);
    const level = away.clone().projectOnPlane(up);
    if (level.length() < 0.1 * away.length()) {
      level.set(up.y, up.z, up.x);
    }
    const eye = level.normalize().addScaledVector(up, 0.3).setLength(away.length()).add(target);
    stand(up, eye);
  }
  const backgrounds = [background, new THREE.Color(0xffffff), new THREE.Color(0x000000)];
  function backdrop() {
    backgrounds.push(backgrounds.shift());
    renderer.setClearColor(backgrounds[0], 1);
    draw();
  }
  new ResizeObserver(() => {
    fit();
    draw();
  }).observe(canvas);
  const actions = { start: () => controls.reset(), turn, backdrop };
  for (const [name, act] of Object.entries(actions)) {
    document.getElementById(name).addEventListener("click", act);
  }
  const keys = { r: "start", u: "turn", b: "backdrop" };
  window.addEventListener("keydown", (event) => actions[keys[event.key]]?.());
  document.getElementById("tools").hidden = false;
  const fingers = matchMedia("(pointer: coarse)").matches;
  say(
    "ready",
    fingers
      ? "one finger: orbit   two fingers: zoom and move"
      : "drag: orbit   wheel: zoom   right drag: move   r: back to the start   u: turn up   b: background",
  );
}

main().catch((error) => {
  say("failed", error.message);
  console.error(error);
});
