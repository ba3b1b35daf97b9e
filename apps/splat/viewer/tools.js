// What the page does besides looking around: measures frames and keeps cameras for a path.

// The time of a frame in milliseconds, as the median of `count` frames from slightly different sides: whoever draws only what
// changed would otherwise draw nothing. A pixel is read back, so that the clock stops when the GPU has finished.
export function frameTime(renderer, scene, camera, count = 40) {
  const gl = renderer.getContext();
  const pixel = new Uint8Array(4);
  const eye = camera.position.clone();
  const times = [];
  for (let i = 0; i < count; i++) {
    camera.position.x = eye.x + 1e-4 * (i % 2) * eye.length();
    camera.updateMatrixWorld();
    const begin = performance.now();
    renderer.render(scene, camera);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    times.push(performance.now() - begin);
  }
  camera.position.copy(eye);
  camera.updateMatrixWorld();
  return times.sort((a, b) => a - b)[count >> 1];
}

// The kept cameras as a cameras.json of 3DGS trainers: world coordinates, rotation from the camera (OpenCV axes: x right,
// y down, z forward) to the world as rows, focal lengths in pixels of a picture of 1280 x 720.
export class Path {
  constructor(offset) {
    this.offset = offset;
    this.cameras = [];
  }

  keep(camera) {
    const [width, height] = [1280, 720];
    const focal = height / (2 * Math.tan((camera.fov * Math.PI) / 360));
    const m = camera.matrixWorld.elements; // column-major; OpenGL axes: y and z change sign
    const row = (r) => [m[r], -m[4 + r], -m[8 + r]];
    const id = this.cameras.length;
    this.cameras.push({
      id,
      img_name: `kept_${String(id).padStart(4, "0")}`,
      width,
      height,
      position: [0, 1, 2].map((k) => m[12 + k] + this.offset[k]),
      rotation: [0, 1, 2].map(row),
      fx: focal,
      fy: focal,
    });
    return this.cameras.length;
  }

  save() {
    const file = new Blob([JSON.stringify(this.cameras, null, 2)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "path.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}
