// The page of `splat view`, `splat train --view` and `splat convert SCENE OUT.html`: one scene; drag or one finger to orbit,
// wheel or two fingers to zoom, right drag to move. tools.js measures and keeps cameras, live.js follows a training.
//
// World coordinates are the scene's own; only the camera is turned to them. What is up cannot be read off a scene without
// cameras (COLMAP: -y, others: z or y), so it can be turned.
// view.json says where to stand. A page in one file has it and the scene inside; otherwise they come from the server that
// sent the page, and nothing is fetched from anywhere else.
// <html data-state> is loading, ready or failed, and data-eye is where the last picture was taken, for whoever drives the page.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkRenderer, SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import { follow } from "./live.js";
import { Path, frameTime } from "./tools.js";

const root = document.documentElement;
const status = document.getElementById("status");

function say(state, text) {
  root.dataset.state = state;
  status.textContent = text;
}

async function contents(name) {
  const inside = document.getElementById(name);
  if (inside) {
    return Uint8Array.from(atob(inside.textContent), (c) => c.charCodeAt(0));
  }
  const answer = await fetch(name);
  if (!answer.ok) {
    throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

// A training says where to stand once it has its first points.
async function begun() {
  while (!document.getElementById("view.json") && (await fetch("view.json")).status === 404) {
    say("loading", "the training has not begun yet");
    await new Promise((done) => setTimeout(done, 500));
  }
  return JSON.parse(new TextDecoder().decode(await contents("view.json")));
}

async function main() {
  say("loading", "loading");
  const view = await begun();
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

  let splats;
  let harmonics = true;
  const types = { ply: SplatFileType.PLY, splat: SplatFileType.SPLAT, sog: SplatFileType.PCSOGSZIP };
  async function show(file) {
    const fileBytes = await contents(file);
    const next = new SplatMesh({ fileBytes, fileType: types[file.split(".").pop()], extSplats: true });
    await next.initialized;
    next.maxSh = harmonics ? 3 : 0;
    scene.add(next);
    if (splats) {
      scene.remove(splats);
      splats.dispose();
    }
    splats = next;
    draw();
  }
  if (!view.live) {
    await show(view.file);
  }

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
  function sh() {
    harmonics = !harmonics;
    splats.maxSh = harmonics ? 3 : 0;
    splats.updateGenerator();
    document.getElementById("harmonics").textContent = harmonics ? "SH on" : "SH off";
    draw();
  }
  function timing() {
    const ms = frameTime(renderer, scene, camera);
    say("ready", `${ms.toFixed(1)} ms per frame of ${canvas.width} x ${canvas.height} (${(1000 / ms).toFixed(0)} per second)`);
    draw();
  }
  const path = new Path(view.offset);
  function keep() {
    const kept = path.keep(camera);
    document.getElementById("path").hidden = false;
    say("ready", `${kept} cameras kept; save them: splat render SCENE -o flight.mp4 --cameras path.json --path`);
  }
  const help = () => document.getElementById("controls").showModal();
  const actions = {
    start: () => controls.reset(),
    turn,
    backdrop,
    harmonics: sh,
    timing,
    keep,
    path: () => path.save(),
    help,
  };
  for (const [name, act] of Object.entries(actions)) {
    document.getElementById(name).addEventListener("click", act);
  }
  const keys = { r: "start", u: "turn", b: "backdrop", s: "harmonics", f: "timing", k: "keep", h: "help" };
  window.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      actions[keys[event.key]]?.();
    }
  });
  document.getElementById("tools").hidden = false;
  const fingers = matchMedia("(pointer: coarse)").matches;
  say(
    "ready",
    fingers
      ? "one finger: orbit   two fingers: zoom and move"
      : "drag: orbit   wheel: zoom   right drag: move   h: help",
  );
  if (view.live) {
    await follow(show);
  }
}

main().catch((error) => {
  say("failed", error.message);
  console.error(error);
});
