// The firmware of board/ in real MicroPython (WASM): `node board.mjs [--firmware DIR] [--cause N] [--uart PORT] [--car A]`.
// Opens a TCP port as the board's UART and another for the tests (one JSON object per line), tells both ports in one
// line on stdout, and ends when its stdin does. A firmware that hangs is killed by a watchdog in its own thread.

import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript/micropython.mjs";
import { Electricity } from "./electricity.mjs";

const HEAP_BYTES = 192 * 1024; // the RP2040 has about 200 KB left for Python
const RESET_EXIT_CODE = 77;
const here = path.dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : otherwise;
};
const firmware = option("firmware", path.join(here, "../../board"));

const micropython = await loadMicroPython({
  heapsize: HEAP_BYTES,
  stdout: (line) => console.error(line),
  stderr: (line) => console.error(line),
});
const memory = micropython._module;
const electricity = new Electricity();
electricity.set({ car: option("car", "A") });

// ---- UART over TCP ---------------------------------------------------------------------------------------
let host = null;
let received = [];

function readUart(address, size) {
  const chunk = received.splice(0, size);
  chunk.forEach((octet, i) => memory.setValue(address + i, octet, "i8"));
  return chunk.length;
}

function writeUart(address, size) {
  const octets = Buffer.alloc(size);
  for (let i = 0; i < size; i++) octets[i] = memory.getValue(address + i, "i8");
  host?.write(octets);
  return size;
}

// ---- watchdog: in a thread of its own, because hanging Python blocks this one ------------------------------
const shared = new Int32Array(new SharedArrayBuffer(8)); // feedings, limit in ms
new Worker(
  `const { workerData: shared } = require("node:worker_threads");
   let seen = -1, silent = 0;
   setInterval(() => {
     if (!shared[1]) return;
     if (shared[0] !== seen) { seen = shared[0]; silent = 0; return; }
     silent += 50;
     if (silent > shared[1]) process.kill(process.pid, "SIGKILL");
   }, 50);`,
  { eval: true, workerData: shared },
);

micropython.registerJsModule("_electricity", {
  wire: (json) => electricity.wire(JSON.parse(json)),
  write_pin: (number, level) => electricity.writePin(number, level),
  read_pin: (number) => electricity.readPin(number),
  on_falling: (number, handler) => electricity.onFalling(number, handler),
  write_pwm: (number, freq, duty) => electricity.writePwm(duty),
  read_adc: (number) => electricity.readAdc(number),
  uart_any: () => received.length,
  uart_read: readUart,
  uart_write: writeUart,
  start_watchdog: (limit) => { shared[1] = limit; },
  feed_watchdog: () => { shared[0]++; },
  reset: () => process.exit(RESET_EXIT_CODE),
  reset_cause: () => Number(option("cause", 1)),
});

// ---- the tests' control port -------------------------------------------------------------------------------
function answer(request) {
  if (request.set) electricity.set(request.set);
  if (request.python) micropython.runPython(request.python);
  const log = request.log ? electricity.log.splice(0) : undefined;
  const value = request.value ? micropython.globals.get(request.value) : undefined;
  return { ...electricity.state(), log, value };
}

function serveControl(socket) {
  let pending = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop();
    for (const line of lines) {
      let reply;
      try {
        reply = answer(JSON.parse(line));
      } catch (error) {
        reply = { error: String(error.message ?? error) };
      }
      socket.write(`${JSON.stringify(reply)}\n`);
    }
  });
}

function serveUart(socket) {
  socket.setNoDelay(true);
  host = socket;
  received = [];
  socket.on("data", (chunk) => received.push(...chunk));
  socket.on("close", () => { if (host === socket) host = null; });
  socket.on("error", () => {});
}

const listen = (serve, port = 0) => new Promise((resolve) => {
  const server = net.createServer(serve);
  server.listen(port, "127.0.0.1", () => resolve(server.address().port));
});

// ---- start -------------------------------------------------------------------------------------------------
micropython.FS.mkdir("/firmware");
micropython.FS.mkdir("/firmware/board");
micropython.FS.writeFile("/firmware/machine.py", fs.readFileSync(path.join(here, "machine.py")));
for (const name of fs.readdirSync(firmware).filter((name) => name.endsWith(".py"))) {
  micropython.FS.writeFile(`/firmware/board/${name}`, fs.readFileSync(path.join(firmware, name)));
}
const ports = { uart: await listen(serveUart, Number(option("uart", 0))), control: await listen(serveControl) };
micropython.runPython(`
import asyncio, json, sys
sys.path.insert(0, "/firmware")
import _electricity
from board import pins
pins.LINK = "uart"
wiring = {role: number for role, number in pins.CONNECTORS[0].items() if role not in ("max_da", "has_lock", "has_ventilation")}
wiring.update(pins.OUTPUTS)
wiring.update({"emergency": pins.EMERGENCY, "door": pins.DOOR})
_electricity.wire(json.dumps(wiring))
from board import main
asyncio.create_task(main.run())
`);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
console.log(JSON.stringify(ports));
