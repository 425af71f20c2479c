// Runs the check of a program for MediaPipe in a browser. Its task is a stand-in that answers, case by case, what golden.json says.
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname} from 'node:path';
const [program, name] = process.argv.slice(2);
const folder = dirname(program);
for (const module of ['vision', 'text']) {
  const place = `${folder}/node_modules/@mediapipe/tasks-${module}`;
  mkdirSync(place, {recursive: true});
  writeFileSync(`${place}/package.json`, '{"type": "module", "exports": "./index.js"}');
  const tasks = ['FilesetResolver', 'ImageClassifier', 'TextClassifier', 'ObjectDetector', 'ImageSegmenter', 'ImageEmbedder'];
  writeFileSync(`${place}/index.js`, tasks.map((task) => `export const ${task} = {};`).join('\n'));
}
globalThis.ImageData = class {
  constructor(data, width, height) {
    Object.assign(this, {data, width, height});
  }
};
const sample = await import(program);
const golden = JSON.parse(readFileSync(`${folder}/golden.json`, 'utf8'));
const bytes = readFileSync(`${folder}/golden.bin`);
const numbers = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const cases = golden.cases.map((one) => one.answers[name]);
let place = 0;
const task = {
  classify() {
    const [scores] = Object.values(cases[place++].outputs);
    return {classifications: [{categories: scores.map((score, index) => ({index, score}))}]};
  },
  embed() {
    return {embeddings: [{floatEmbedding: Object.values(cases[place++].outputs)[0]}]};
  },
  detect() {
    return {detections: cases[place++].said.boxes.map(({label, score, box: [left, top, right, bottom]}) => ({
      categories: [{categoryName: label.replaceAll('\n', '\\n').replaceAll('\r', '\\r'), score}],
      boundingBox: {originX: left, originY: top, width: right - left, height: bottom - top},
    }))};
  },
  segment() {
    const [rows] = Object.values(cases[place++].outputs);
    const confidenceMasks = rows[0][0].map((_, channel) => ({
      height: rows.length,
      width: rows[0].length,
      getAsFloat32Array: () => Float32Array.from(rows.flat().map((own) => own[channel])),
    }));
    return {confidenceMasks, close() {}};
  },
};
process.stdout.write(JSON.stringify(sample.check(task, name, golden, numbers)));
