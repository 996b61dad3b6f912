// Runs every case of a folder in onnxruntime and compares its scores.
//
//     node in_onnxruntime.mjs MODULES FOLDER
//
// MODULES is the folder whose node_modules has onnxruntime-node. A case is NAME.onnx, NAME.images and NAME.scores, the
// latter two float32 as plain bytes; NAME.json has their shapes. Prints the largest difference of each, as a part of the
// largest score where that is above 1; status 1 where one is above 1e-4.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [modules, folder] = process.argv.slice(2);
const ort = createRequire(join(resolve(modules), 'here.js'))('onnxruntime-node');

function floats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

let wrong = 0;
const cases = readdirSync(folder).filter((name) => name.endsWith('.onnx')).map((name) => name.slice(0, -5)).sort();
for (const name of cases) {
  const path = (kind) => join(folder, `${name}.${kind}`);
  const shapes = JSON.parse(readFileSync(path('json'), 'utf8'));
  const session = await ort.InferenceSession.create(path('onnx'));
  const images = new ort.Tensor('float32', floats(path('images')), shapes.images);
  const found = (await session.run({ images })).scores;
  const expected = floats(path('scores'));
  let gap = found.dims.join() === shapes.scores.join() ? 0 : Infinity;
  for (let i = 0; i < expected.length; ++i) gap = Math.max(gap, Math.abs(found.data[i] - expected[i]));
  gap /= expected.reduce((most, score) => Math.max(most, Math.abs(score)), 1);
  console.log(`${name}: ${gap}`);
  if (!(gap < 1e-4)) ++wrong;
}
console.log(`${cases.length} cases, ${wrong} wrong`);
process.exit(cases.length > 0 && wrong === 0 ? 0 : 1);
