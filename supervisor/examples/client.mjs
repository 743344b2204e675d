// A client of `meetcap-supervisor serve --stdio`: transcribes one recording, cancels another, reads the result.
//
//     node client.mjs KEEP.wav CANCEL.wav --stt demo --llm demo
//
// Nothing but Node's own library. MEETCAP_SUPERVISOR names the program; else it is looked for in PATH.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const { values: models, positionals: paths } = parseArgs({
  allowPositionals: true,
  options: { stt: { type: "string", default: "demo" }, llm: { type: "string", default: "demo" } },
});
if (paths.length !== 2) throw new Error("two recordings are wanted: one to keep and one to cancel");

const program = process.env.MEETCAP_SUPERVISOR ?? "meetcap-supervisor";
const server = spawn(program, ["serve", "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const left = once(server, "exit");
const answers = new Map(); // id -> what to do with the answer
let onEvent = () => {};

createInterface({ input: server.stdout }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.method === "event") return onEvent(message.params);
  const { accept, refuse } = answers.get(message.id);
  answers.delete(message.id);
  if (message.error) refuse(new Error(message.error.message));
  else accept(message.result);
});

let lastId = 0;
function call(method, params = {}) {
  const id = ++lastId;
  server.stdin.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n");
  return new Promise((accept, refuse) => answers.set(id, { accept, refuse }));
}

console.log("server", (await call("initialize", { client: { name: "client.mjs" } })).server_version);
const ended = new Map();
const allEnded = new Promise((done) => {
  onEvent = (event) => {
    const name = basename(paths[event.job_id - 1]); // jobs are numbered from 1 in each server
    if (event.event === "progress" && event.total) {
      console.log(`${name}: ${event.phase} ${Math.round((100 * event.done) / event.total)} %`);
    } else if (event.event === "segment" && event.job_id === 2) {
      call("job/cancel", { job_id: 2 });
    } else if (event.event === "run_finished") {
      console.log(`${name}: ${event.outcome}`);
      if (ended.set(event.job_id, event).size === paths.length) done();
    }
  };
});
for (const path of paths) await call("job/submit", { audio_path: resolve(path), ...models });
await allEnded;

const transcript = ended.get(1).outputs.find((path) => path.endsWith(".transcript.json"));
const { segments } = JSON.parse(await readFile(transcript, "utf8"));
console.log("transcript:", segments.map((segment) => segment.text).join(" "));
await call("shutdown");
process.exitCode = (await left)[0];
