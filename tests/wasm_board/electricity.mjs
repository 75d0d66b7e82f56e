// Simulated electricity of one connector, pin by pin: pilot with an EV behind its diode, contactor with travel time,
// lock bolt, residual current sensor, cable coding, inputs. Driven by board/hw.py through machine.py on one side and by
// the tests' control port on the other. Times in ms of the process clock.

const CONTACTOR_MS = 30;
const BOLT_MS = 300;
const SENSOR_MS = 200;
const US_PER_READ = 10; // what a read of the RP2040's converter takes; keeps the sampling in step with the PWM
const MAX_LOG = 2000;
// Ohms to earth behind the EV's diode. "gap" lies between the windows of B and C.
const CAR_OHM = { A: Infinity, B: 2740, gap: 1511, C: 882, D: 246, E: 0 };
const SETTABLE = ["diode", "leak", "welded", "never_closes", "bolt_jams", "sensor_works", "ohm", "emergency", "door"];

export class Electricity {
  constructor() {
    this.car = "A";
    this.diode = true;
    this.leak = 0;
    this.welded = false;
    this.never_closes = false;
    this.bolt_jams = false;
    this.sensor_works = true;
    this.ohm = 220;
    this.emergency = false;
    this.door = false;
    this.closed = false;
    this.locked = false;
    this.log = [];
    this.roles = new Map(); // pin number -> role
    this.levels = new Map(); // role -> what was written last
    this.handlers = new Map(); // role -> interrupt handler
    this.duty = 65535;
    this.sampleUs = 0;
    this.sensorTested = false;
    this.boltTimer = null;
  }

  wire(pins) {
    for (const [role, number] of Object.entries(pins)) this.roles.set(number, role);
  }

  note(what, value) {
    this.log.push([Number(performance.now().toFixed(2)), what, value]);
    if (this.log.length > MAX_LOG) this.log.shift();
  }

  // ---- the firmware's side -------------------------------------------------------------------------------

  writePin(number, level) {
    const role = this.roles.get(number) ?? `pin ${number}`;
    if (this.levels.get(role) === level) return;
    this.levels.set(role, level);
    this.note(role, level);
    if (role === "contactor") setTimeout(() => this.moveContactor(), CONTACTOR_MS);
    if (role === "rcd_test") setTimeout(() => this.change(() => { this.sensorTested = Boolean(level); }), SENSOR_MS);
    if (role === "lock_motor" || role === "unlock_motor") this.driveBolt(role === "lock_motor", level);
  }

  moveContactor() {
    const wanted = this.welded || (Boolean(this.levels.get("contactor")) && !this.never_closes);
    if (wanted === this.closed) return;
    this.closed = wanted;
    this.note("closed", wanted ? 1 : 0);
  }

  driveBolt(towardsLocked, running) {
    clearTimeout(this.boltTimer);
    if (running && !this.bolt_jams) this.boltTimer = setTimeout(() => { this.locked = towardsLocked; this.note("locked", towardsLocked ? 1 : 0); }, BOLT_MS);
  }

  readPin(number) {
    const role = this.roles.get(number);
    switch (role) {
      case "mirror": return this.closed ? 1 : 0;
      case "bolt": return this.locked ? 0 : 1;
      case "emergency": return this.emergency ? 1 : 0;
      case "door": return this.door ? 1 : 0;
      case "rcd_dc":
      case "rcd_ac": return this.trips(role) ? 0 : 1;
      default: return this.levels.get(role ?? `pin ${number}`) ?? 0;
    }
  }

  trips(role) {
    if (role === "rcd_ac") return Boolean(this.leak & 2);
    return Boolean(this.leak & 1) || (this.sensorTested && this.sensor_works);
  }

  writePwm(duty) {
    if (duty === this.duty) return;
    this.duty = duty;
    this.note("duty", Math.round((duty / 65535) * 10000));
  }

  pilotVolts() {
    this.sampleUs += US_PER_READ;
    if (this.levels.get("cp_short")) return 0;
    const phase = (this.sampleUs % 1000) / 1000;
    const isHigh = this.duty >= 65535 || phase < this.duty / 65535;
    const source = isHigh ? 12 : -12;
    const ohm = CAR_OHM[this.car];
    if (ohm === Infinity || (!isHigh && this.diode)) return source;
    const drop = isHigh && this.diode ? Math.min(0.7, source) : 0;
    return ((source - drop) * ohm) / (1000 + ohm) + (ohm ? drop : 0);
  }

  readAdc(number) {
    switch (this.roles.get(number)) {
      case "cp_adc": return Math.round(((this.pilotVolts() + 15) / 30) * 65535);
      case "pp_adc": return this.ohm ? Math.round((65535 * this.ohm) / (1000 + this.ohm)) : 65535;
      case "residual_adc": return this.leak ? Math.round(65535 * 0.08) : 0;
      default: return 14088; // the chip at 25 C
    }
  }

  onFalling(number, handler) {
    this.handlers.set(this.roles.get(number), handler);
  }

  // ---- the tests' side -----------------------------------------------------------------------------------

  change(action) {
    const before = { rcd_dc: this.trips("rcd_dc"), rcd_ac: this.trips("rcd_ac") };
    action();
    for (const role of ["rcd_dc", "rcd_ac"]) {
      if (this.trips(role) && !before[role]) this.handlers.get(role)?.();
    }
  }

  set(values) {
    this.change(() => {
      for (const [name, value] of Object.entries(values)) {
        if (name === "car" && !(value in CAR_OHM)) throw new Error(`no such car: ${value}`);
        if (name !== "car" && !SETTABLE.includes(name)) throw new Error(`nothing called ${name}`);
        this[name] = value;
        this.note(name, value);
      }
    });
    this.moveContactor();
  }

  state() {
    return { car: this.car, closed: this.closed, locked: this.locked, duty: Math.round((this.duty / 65535) * 10000), contactor: Boolean(this.levels.get("contactor")) };
  }
}
