// Runs a program's own check. Its model is the test that started this: prepared inputs go out, outputs come in, a line each.
import {readFileSync} from 'node:fs';
import {dirname} from 'node:path';
import {createInterface} from 'node:readline';
const [program, name] = process.argv.slice(2);
const folder = dirname(program);
const sample = await import(program);
const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const model = {async run(prepared) {
  process.stdout.write(Buffer.from(Float32Array.from(prepared).buffer).toString('base64') + '\n');
  const found = JSON.parse((await lines.next()).value);
  return Object.fromEntries(Object.entries(found).map(([key, text]) => {
    const bytes = Buffer.from(text, 'base64');
    return [key, new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))];
  }));
}};
if (sample.learn) sample.learn(readFileSync(`${folder}/vocabulary.txt`, 'utf8'));
const bytes = readFileSync(`${folder}/golden.bin`);
const numbers = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const wrong = await sample.check(model, name, JSON.parse(readFileSync(`${folder}/golden.json`, 'utf8')), numbers);
process.stdout.write('done ' + JSON.stringify(wrong) + '\n');
process.exit(0);
