// The firmware of board/ in real MicroPython (WASM): `node board.mjs [--firmware DIR] [--pcb NAME] [--cause N]
// [--uart PORT] [--car A] [--flash FILE]`. --pcb is the word in pcb.txt ("" = no such file), --flash keeps config.json.
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

const printed = []; // what Python printed since it was last asked

const micropython = await loadMicroPython({
  heapsize: HEAP_BYTES,
  stdout: (line) => printed.push(line),
  stderr: (line) => console.error(line),
});
const memory = micropython._module;
const electricity = new Electricity();
const touched = new Set(); // pins

// ---- UARTs: the host's (0) over TCP, the others in the tests' hands ----------------------------------------
const UART_HOST = 0;
let host = null;
const received = [[], []];
const sent = [[], []];

function readUart(number, address, size) {
  const chunk = received[number].splice(0, size);
  chunk.forEach((octet, i) => memory.setValue(address + i, octet, "i8"));
  return chunk.length;
}

function writeUart(number, address, size) {
  const octets = Buffer.alloc(size);
  for (let i = 0; i < size; i++) octets[i] = memory.getValue(address + i, "i8");
  if (number === UART_HOST) host?.write(octets);
  else sent[number].push(...octets);
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
  touch_pin: (number) => { touched.add(number); },
  write_pwm: (number, freq, duty) => electricity.writePwm(number, duty),
  write_pixels: (json) => electricity.writePixels(JSON.parse(json)),
  read_adc: (number) => electricity.readAdc(number),
  uart_any: (number) => received[number].length,
  uart_read: readUart,
  uart_write: writeUart,
  start_watchdog: (limit) => { shared[1] = limit; },
  feed_watchdog: () => { shared[0]++; },
  reset: () => { keepFlash(); process.exit(RESET_EXIT_CODE); },
  reset_cause: () => Number(option("cause", 1)),
});

// ---- flash: what the firmware has written outlives a reset ---------------------------------------------------
const CONFIG_FILE = "/config.json";
const flash = option("flash", "");

function keepFlash() {
  if (flash && micropython.FS.analyzePath(CONFIG_FILE).exists) fs.writeFileSync(flash, micropython.FS.readFile(CONFIG_FILE));
}

// ---- the tests' control port -------------------------------------------------------------------------------
function answer(request) {
  if (request.set) electricity.set(request.set);
  if (request.serial) received[request.serial.uart].push(...request.serial.octets);
  if (request.python) micropython.runPython(request.python);
  const log = request.log ? electricity.log.splice(0) : undefined;
  const value = request.value ? micropython.globals.get(request.value) : undefined;
  return { ...electricity.state(), log, value, touched: [...touched], serial_sent: sent[1].splice(0), printed: printed.splice(0) };
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
  received[UART_HOST] = [];
  socket.on("data", (chunk) => received[UART_HOST].push(...chunk));
  socket.on("close", () => { if (host === socket) host = null; });
  socket.on("error", () => {});
}

const listen = (serve, port = 0) => new Promise((resolve) => {
  const server = net.createServer(serve);
  server.listen(port, "127.0.0.1", () => resolve(server.address().port));
});

// ---- start -------------------------------------------------------------------------------------------------
const pcb = option("pcb", "reference");
micropython.FS.mkdir("/firmware");
for (const name of ["machine.py", "neopixel.py"]) {
  micropython.FS.writeFile(`/firmware/${name}`, fs.readFileSync(path.join(here, name)));
}
for (const folder of ["", "pins/"]) {
  micropython.FS.mkdir(`/firmware/board/${folder}`.replace(/\/$/, ""));
  for (const name of fs.readdirSync(path.join(firmware, folder)).filter((name) => name.endsWith(".py"))) {
    micropython.FS.writeFile(`/firmware/board/${folder}${name}`, fs.readFileSync(path.join(firmware, folder, name)));
  }
}
if (pcb) micropython.FS.writeFile("/pcb.txt", `${pcb}\n`);
if (flash && fs.existsSync(flash)) micropython.FS.writeFile(CONFIG_FILE, fs.readFileSync(flash));
const ports = { uart: await listen(serveUart, Number(option("uart", 0))), control: await listen(serveControl) };
// The host's line is always the UART here; a board without a map has nothing but its console, which is USB on a Pico.
micropython.runPython(`
import asyncio, json, sys
sys.path.insert(0, "/firmware")
import _electricity
from board import hw, main
wiring = main.find_wiring()
if wiring.problem:
    wiring.uart_pins = (0, 1)
else:
    _electricity.wire(json.dumps({
        "connectors": [{role: number for role, number in roles.items() if role != "limits"} for roles in wiring.connectors],
        "board": dict([(name, getattr(wiring, name)) for name in ("emergency", "door", "tilt", "alive", "neopixel")
            if getattr(wiring, name) is not None] + list(wiring.outputs.items())),
        "current_full_da": wiring.current_full_da,
    }))
hw.open_port = hw.UartPort
`);
if (electricity.connectors.length) electricity.set({ car: option("car", "A") });
micropython.runPython(`
asyncio.create_task(main.run(hw.reset_cause(), wiring))
del wiring
`);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
console.log(JSON.stringify(ports));
