// All settings with their documentation: searchable, and for installers changeable.

import { get, put } from "./api.js";
import { ask, report } from "./dialog.js";
import { field, h, setHidden, setText } from "./dom.js";

export class SettingsView {
  constructor(place, context) {
    this.context = context;
    this.rows = [];
    this.search = h("input", { type: "search", placeholder: "Name, OCPP key or words", on: { input: () => this.filter() } });
    this.onlyChanged = h("input", { type: "checkbox", on: { change: () => this.filter() } });
    this.count = h("p", { class: "muted", role: "status" });
    this.list = h("div", { class: "settings" });
    this.note = h("p", { class: "muted" });
    place.append(
      h("div", { class: "view-head" }, h("h2", { id: "settings-title" }, "Settings"), this.count),
      h("div", { class: "toolbar", role: "group", "aria-label": "Filter" },
        h("label", { class: "inline-field wide" }, h("span", {}, "Search"), this.search),
        h("label", { class: "check" }, this.onlyChanged, " Only those that differ from the default")),
      this.note, h("div", { class: "card flush" }, this.list));
  }

  async open() {
    try {
      this.settings = (await get("/api/v1/settings")).settings;
    } catch (error) {
      setText(this.note, error.message);
      return;
    }
    this.draw();
  }

  draw() {
    const canChange = this.context.can("installer");
    setText(this.note, canChange ? "" : "Changing a setting needs the role installer.");
    setHidden(this.note, canChange);
    this.rows = this.settings.map((setting) => ({ setting, element: this.row(setting, canChange) }));
    this.list.replaceChildren(...this.rows.map((each) => each.element));
    this.filter();
  }

  row(setting, canChange) {
    const names = [setting.key16, setting.path2].filter(Boolean);
    const isLocked = setting.mutability === "R";
    const value = h("p", {}, ...valueOf(setting));
    const details = h("p", { class: "muted" }, rules(setting));
    const redraw = () => {
      value.replaceChildren(...valueOf(setting));
      setText(details, rules(setting));
      this.filter();
    };
    const change = canChange && !isLocked
      ? h("button", { type: "button", "aria-label": `Change ${setting.name}`, on: { click: () => this.change(setting, redraw) } }, "Change")
      : h("span", { class: "muted" }, isLocked ? "fixed" : "");
    return h("div", { class: "setting", id: `setting-${setting.name}` },
      h("div", { class: "setting-names" }, h("h3", {}, setting.name), ...names.map((name) => h("p", { class: "muted" }, name))),
      h("div", { class: "setting-doc" }, h("p", {}, setting.doc), details),
      h("div", { class: "setting-value" }, value, change));
  }

  filter() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { setting, element } of this.rows) {
      const text = `${setting.name} ${setting.key16 ?? ""} ${setting.path2 ?? ""} ${setting.doc}`.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!this.onlyChanged.checked || !setting.is_default);
      setHidden(element, !fits);
      if (fits) shown += 1;
    }
    setText(this.count, `${shown} of ${this.rows.length} shown`);
  }

  /** `redraw()` shows the new value in its row. */
  change(setting, redraw) {
    const control = controlOf(setting);
    return ask({
      title: `Change ${setting.name}`,
      text: setting.doc,
      content: [field(`New value${setting.unit ? ` in ${setting.unit}` : ""}`, control, rules(setting))],
      confirm: "Save",
      act: async () => {
        const answer = await put(`/api/v1/settings/${encodeURIComponent(setting.name)}`, { value: control.value });
        Object.assign(setting, answer.setting);
        redraw();
        report(answer.needs_reboot ? `${setting.name} is stored; it counts after a restart.` : `${setting.name} is stored and in force.`, answer.needs_reboot ? "attention" : "charging");
      },
    });
  }
}

function rules(setting) {
  const parts = [setting.kind];
  if (setting.least !== null && setting.most !== null) parts.push(`${setting.least} to ${setting.most}`);
  if (setting.choices.length) parts.push(`one of ${setting.choices.join(", ")}`);
  if (!setting.is_default && setting.default !== "") parts.push(`default ${setting.default}`);
  if (setting.needs_reboot) parts.push("counts after a restart");
  return parts.join("; ");
}

function controlOf(setting) {
  const value = setting.value ?? "";
  if (setting.kind === "boolean") return choice(["true", "false"], value);
  if (setting.kind === "text" && setting.choices.length) return choice(setting.choices, value);
  if (setting.kind === "integer") return h("input", { type: "number", value, min: setting.least, max: setting.most, step: 1, required: true });
  return h("input", { type: "text", value, spellcheck: "false", autocomplete: "off" });
}

function choice(values, value) {
  const control = h("select", {}, ...values.map((each) => h("option", { value: each }, each)));
  control.value = value;
  return control;
}

function valueOf(setting) {
  const value = setting.mutability === "W" ? "(hidden)" : setting.value;
  const shown = h("span", { class: setting.is_default ? "" : "changed" }, value === "" ? "(empty)" : value);
  return [shown, value !== "" && setting.unit ? ` ${setting.unit}` : ""];
}
