// Streamed SOG as PlayCanvas' engine takes it: the places of the tree, and which level it would show of each.
//   node lod.mjs MODULES scene/lod-meta.json

import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, name] = process.argv.slice(2);
const engine = `${modules}/playcanvas/build/playcanvas/src/scene/gsplat-unified/`;
const { GSplatOctree } = await import(pathToFileURL(`${engine}gsplat-octree.js`));
const check = (good, text) => {
  if (!good) {
    throw new Error(text);
  }
};

const meta = JSON.parse(fs.readFileSync(name, "utf8"));
const octree = new GSplatOctree(name, meta);
check(octree.lodLevels === meta.counts.length && octree.lodLevels > 1, `${octree.lodLevels} levels`);
octree.files.forEach(({ url, lodLevel }) => {
  check(fs.existsSync(url), `${url} is not there`);
  check(lodLevel >= 0, `no place shows ${url}`);
});
check(octree.nodes.length > 1, "one place");
for (const { bounds, lods } of octree.nodes) {
  check(bounds.halfExtents.length() > 0 && Number.isFinite(bounds.center.length()), `bounds ${bounds}`);
  check(lods.every((lod) => lod.fileIndex >= 0), "a place without one of the levels");
}
// What it would show if it showed one level everywhere.
meta.counts.forEach((count, level) => {
  const table = octree.acquireLodTable(level, level);
  check(table.totalCoarsestCount === count, `level ${level}: ${table.totalCoarsestCount}, not ${count}`);
});
console.log(`streamed SOG: the engine finds ${octree.nodes.length} places in ${octree.files.length} parts`);
