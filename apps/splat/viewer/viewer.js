// The page of `splat view`: one scene, drag to orbit, wheel to zoom, right drag to move.
//
// World coordinates are the scene's own (COLMAP's axes: y down, z ahead); only the camera is turned to them.
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
  const renderer = new THREE.WebGLRenderer({ canvas, antialias: false, preserveDrawingBuffer: true });
  renderer.setPixelRatio(window.devicePixelRatio);
  const background = new THREE.Color().setRGB(...view.background, THREE.SRGBColorSpace);
  renderer.setClearColor(background, 1);

  const camera = new THREE.PerspectiveCamera(view.fov_y, 1, view.near, view.far);
  camera.up.set(...view.up);
  camera.position.set(...view.eye);
  const controls = new OrbitControls(camera, canvas);
  controls.target.set(...view.target);
  controls.enableDamping = false;
  controls.update();

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
    camera.updateProjectionMatrix();
  }
  controls.addEventListener("change", draw);
  controls.saveState();
  new ResizeObserver(() => {
    fit();
    draw();
  }).observe(canvas);
  const backgrounds = [background, new THREE.Color(0xffffff), new THREE.Color(0x000000)];
  window.addEventListener("keydown", (event) => {
    if (event.key === "r") {
      controls.reset();
    } else if (event.key === "b") {
      backgrounds.push(backgrounds.shift());
      renderer.setClearColor(backgrounds[0], 1);
      draw();
    }
  });
  say("ready", "drag: orbit   wheel: zoom   right drag: move   r: back to the start   b: background");
}

main().catch((error) => {
  say("failed", `error: ${error.message}`);
  console.error(error);
});
