// Simulated electricity of a board, pin by pin: for each connector a pilot with an EV behind its diode, contactor with
// travel time, lock bolt, residual current sensor, cable coding, phase relay, currents; inputs and the chip's thermometer
// for all of them. Driven by board/hw.py through machine.py on one side and by the tests' control port on the other.
// Times in ms of the process clock.

const CONTACTOR_MS = 30;
const BOLT_MS = 300;
const SENSOR_MS = 200;
const US_PER_READ = 10; // what a read of the RP2040's converter takes; keeps the sampling in step with the PWM
const MAX_LOG = 2000;
const CHIP_SENSOR = 4;
// Ohms to earth behind the EV's diode. "gap" lies between the windows of B and C.
const CAR_OHM = { A: Infinity, B: 2740, gap: 1511, C: 882, D: 246, E: 0 };
const OF_A_CONNECTOR = [
  "car", "diode", "leak", "welded", "never_closes", "bolt_jams", "sensor_works", "ohm", "current", "thermistor", "phases_stick",
];
const OF_THE_BOARD = ["emergency", "door", "tilt", "temperature"];
const RCD_ROLES = ["rcd_dc", "rcd_ac"];

class Connector {
  constructor(number, board) {
    this.number = number;
    this.board = board;
    this.car = "A";
    this.diode = true;
    this.leak = 0; // bit 0: smooth DC, bit 1: AC
    this.welded = false;
    this.never_closes = false;
    this.bolt_jams = false;
    this.sensor_works = true;
    this.ohm = 220;
    this.current = 0; // A per phase
    this.thermistor = 25; // C
    this.phases_stick = false;
    this.closed = false;
    this.locked = false;
    this.threePhases = false;
    this.levels = new Map(); // role -> what was written last
    this.handlers = new Map(); // role -> interrupt handler
    this.duty = 65535;
    this.sampleUs = 0;
    this.sensorTested = false;
    this.boltTimer = null;
  }

  note(what, value) {
    this.board.note(this.number === 1 ? what : `${this.number}.${what}`, value);
  }

  writePin(role, level) {
    if (this.levels.get(role) === level) return;
    this.levels.set(role, level);
    this.note(role, level);
    if (role === "contactor") setTimeout(() => this.moveContactor(), CONTACTOR_MS);
    if (role === "rcd_test") setTimeout(() => this.change(() => { this.sensorTested = Boolean(level); }), SENSOR_MS);
    if (role === "lock_motor" || role === "unlock_motor") this.driveBolt(role === "lock_motor", level);
    if (role === "phase_relay") setTimeout(() => this.movePhaseRelay(), CONTACTOR_MS);
  }

  moveContactor() {
    const wanted = this.welded || (Boolean(this.levels.get("contactor")) && !this.never_closes);
    if (wanted === this.closed) return;
    this.closed = wanted;
    this.note("closed", wanted ? 1 : 0);
  }

  movePhaseRelay() {
    if (this.phases_stick) return;
    this.threePhases = Boolean(this.levels.get("phase_relay"));
    this.note("three_phases", this.threePhases ? 1 : 0);
  }

  driveBolt(towardsLocked, running) {
    clearTimeout(this.boltTimer);
    if (running && !this.bolt_jams) this.boltTimer = setTimeout(() => { this.locked = towardsLocked; this.note("locked", towardsLocked ? 1 : 0); }, BOLT_MS);
  }

  readPin(role) {
    switch (role) {
      case "mirror": return this.closed ? 1 : 0;
      case "bolt": return this.locked ? 0 : 1;
      case "phase_mirror": return this.threePhases ? 1 : 0;
      case "rcd_dc":
      case "rcd_ac": return this.trips(role) ? 0 : 1;
      default: return this.levels.get(role) ?? 0;
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

  readAdc(role) {
    switch (role) {
      case "cp_adc": return Math.round(((this.pilotVolts() + 15) / 30) * 65535);
      case "pp_adc": return this.ohm ? Math.round((65535 * this.ohm) / (1000 + this.ohm)) : 65535;
      case "residual_adc": return this.leak ? Math.round(65535 * 0.08) : 0;
      case "current_l1_adc": return this.currentLevel(true);
      case "current_l2_adc":
      case "current_l3_adc": return this.currentLevel(this.threePhases || !this.levels.has("phase_relay"));
      case "temperature_adc": return this.thermistorLevel();
      default: return 0;
    }
  }

  currentLevel(isFed) {
    const flows = this.closed && isFed ? this.current : 0;
    return Math.min(65535, Math.round((flows * 10 * 65535) / this.board.currentFullDa));
  }

  thermistorLevel() {
    if (this.thermistor === null) return 65535; // a broken wire
    const ohm = 10000 * Math.exp(3950 * (1 / (this.thermistor + 273.15) - 1 / 298.15));
    return Math.round((65535 * ohm) / (ohm + 10000));
  }

  change(action) {
    const before = RCD_ROLES.map((role) => this.trips(role));
    action();
    RCD_ROLES.forEach((role, i) => {
      if (this.trips(role) && !before[i]) this.handlers.get(role)?.();
    });
  }

  set(name, value) {
    if (name === "car" && !(value in CAR_OHM)) throw new Error(`no such car: ${value}`);
    this.change(() => { this[name] = value; });
    this.note(name, value);
    this.moveContactor();
  }

  state() {
    return {
      car: this.car,
      closed: this.closed,
      locked: this.locked,
      duty: Math.round((this.duty / 65535) * 10000),
      contactor: Boolean(this.levels.get("contactor")),
      ventilation: Boolean(this.levels.get("ventilation")),
      three_phases: this.threePhases,
    };
  }
}

export class Electricity {
  constructor() {
    this.connectors = [];
    this.emergency = false;
    this.door = false;
    this.tilt = false;
    this.temperature = 25; // of the chip, in C
    this.currentFullDa = 1000;
    this.pixels = [];
    this.log = [];
    this.places = new Map(); // pin number -> [connector or null, role]
    this.levels = new Map(); // of what belongs to no connector: role -> what was written last
  }

  // {connectors: [{role: pin}], board: {role: pin}, current_full_da}
  wire(wiring) {
    wiring.connectors.forEach((roles, index) => {
      const connector = new Connector(index + 1, this);
      this.connectors.push(connector);
      for (const [role, number] of Object.entries(roles)) this.places.set(number, [connector, role]);
    });
    for (const [role, number] of Object.entries(wiring.board)) this.places.set(number, [null, role]);
    this.currentFullDa = wiring.current_full_da || this.currentFullDa;
  }

  note(what, value) {
    this.log.push([Number(performance.now().toFixed(2)), what, value]);
    if (this.log.length > MAX_LOG) this.log.shift();
  }

  place(number) {
    return this.places.get(number) ?? [null, `pin ${number}`];
  }

  // ---- the firmware's side -------------------------------------------------------------------------------

  writePin(number, level) {
    const [connector, role] = this.place(number);
    if (connector) {
      connector.writePin(role, level);
    } else if (this.levels.get(role) !== level) {
      this.levels.set(role, level);
      if (role !== "alive") this.note(role, level);
    }
  }

  readPin(number) {
    const [connector, role] = this.place(number);
    if (connector) return connector.readPin(role);
    if (["emergency", "door", "tilt"].includes(role)) return this[role] ? 1 : 0;
    return this.levels.get(role) ?? 0;
  }

  writePwm(number, duty) {
    this.place(number)[0].writePwm(duty);
  }

  readAdc(number) {
    // Numbers of pins, but for the chip's own sensor, which has none.
    if (number === CHIP_SENSOR) return Math.round(((0.706 - (this.temperature - 27) * 0.001721) / 3.3) * 65535);
    const [connector, role] = this.place(number);
    return connector ? connector.readAdc(role) : 0;
  }

  onFalling(number, handler) {
    const [connector, role] = this.place(number);
    connector.handlers.set(role, handler);
  }

  writePixels(colours) {
    this.pixels = colours;
    this.note("pixels", colours);
  }

  // ---- the tests' side -----------------------------------------------------------------------------------

  set({ connector = 1, ...values }) {
    const own = this.connectors[connector - 1];
    for (const [name, value] of Object.entries(values)) {
      if (OF_THE_BOARD.includes(name)) {
        this[name] = value;
        this.note(name, value);
      } else if (own && OF_A_CONNECTOR.includes(name)) {
        own.set(name, value);
      } else {
        throw new Error(`nothing called ${name} at connector ${connector}`);
      }
    }
  }

  state() {
    const connectors = this.connectors.map((connector) => connector.state());
    return { ...connectors[0], connectors, outputs: Object.fromEntries(this.levels), pixels: this.pixels };
  }
}
