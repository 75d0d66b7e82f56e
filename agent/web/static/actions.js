// The catalogue of hardware actions with the rules under which each may run, and a form to run it.

import { get, post } from "./api.js";
import { ask, attempt } from "./dialog.js";
import { field, h, setText } from "./dom.js";
import { duration, sentence } from "./format.js";

const CAREFUL = new Set(["board.reboot", "rcd.self_test", "cable.unlock", "fault.clear"]);

const LABELS = {
  output: "Output", on: "State", duration_s: "Duration in s", pattern: "Pattern", evse_id: "Charging point", code: "Fault",
  names: "Names of values", function: "Function (3 or 4)", address: "First register", count: "Registers",
};

export class ActionsView {
  constructor(place, context) {
    this.context = context;
    this.note = h("p", { class: "muted" });
    this.list = h("div", { class: "card flush actions" });
    this.commands = h("div");
    place.append(
      h("div", { class: "view-head" }, h("h2", { id: "actions-title" }, "Hardware actions")),
      h("p", { class: "muted intro" }, "What vendor messages of the CSMS and this page can do to the hardware. None can close the contactor, raise a limit or hide a fault; every run leaves a row in the audit."),
      this.note, this.list, this.commands);
  }

  async open() {
    try {
      const { actions, commands } = await get("/api/v1/actions");
      setText(this.note, "");
      this.list.replaceChildren(...actions.map((action) => this.card(action)));
      this.commands.replaceChildren(...commandTable(commands));
    } catch (error) {
      setText(this.note, error.message);
    }
  }

  card(action) {
    const mayRun = this.context.can(action.role);
    const inputs = action.parameters.map((parameter) => ({ parameter, control: controlOf(parameter) }));
    const run = h("button", { type: "submit", class: "main accent", disabled: !mayRun }, "Run");
    const result = h("div", { class: "outcome", role: "status" });
    const form = h("form", {
      on: {
        submit: (event) => {
          event.preventDefault();
          const go = () => attempt(run, () => this.run(action, inputs, result));
          if (!CAREFUL.has(action.name)) return go();
          return ask({ title: `Run ${action.name}?`, text: `${action.summary}.`, confirm: "Run", act: () => this.run(action, inputs, result) });
        },
      },
    }, ...inputs.map(({ parameter, control }) => field(LABELS[parameter.name] ?? parameter.name, control, parameter.choices ? "" : parameter.rule)),
    h("div", { class: "buttons" }, run, mayRun ? null : h("span", { class: "muted" }, `needs the role ${action.role}`)), result);
    return h("article", { "aria-label": action.name }, h("details", { class: "fold" },
      h("summary", {}, h("h3", {}, sentence(action.summary)), h("code", { class: "muted" }, action.name)),
      h("div", { class: "action" }, h("ul", { class: "rules" }, ...rulesOf(action).map((rule) => h("li", {}, rule))), form)));
  }

  async run(action, inputs, result) {
    result.replaceChildren();
    const parameters = {};
    for (const { parameter, control } of inputs) {
      const value = valueOf(parameter, control);
      if (value !== undefined) parameters[parameter.name] = value;
    }
    const answer = await post(`/api/v1/actions/${action.name}`, { parameters });
    const isDone = answer.result === "ok";
    result.dataset.tone = isDone ? "charging" : "attention";
    result.replaceChildren(h("p", {}, h("strong", {}, isDone ? "Done. " : `Not done (${answer.result}). `), answer.detail));
    if (Object.keys(answer.values).length) result.append(h("pre", { tabindex: "0" }, JSON.stringify(answer.values, null, 2)));
  }
}

function rulesOf(action) {
  const rules = [
    action.situations === null ? "Allowed at any time." : `Allowed while the charging point is ${action.situations.join(" or ")}.`,
    `Role: ${action.role}.`,
    `At most ${action.runs} ${action.runs === 1 ? "run" : "runs"} in ${duration(action.per_s)}; ends after ${action.timeout_s} s.`,
  ];
  if (!action.with_fault) rules.splice(1, 0, "Not while there is a fault.");
  return rules;
}

function controlOf(parameter) {
  if (parameter.choices) {
    const words = (each) => (parameter.name === "evse_id" && each === 0 ? "0 (main meter)" : String(each));
    const control = h("select", {}, ...parameter.choices.map((each) => h("option", { value: each }, words(each))));
    if (parameter.choices.includes(parameter.default)) control.value = parameter.default;
    return control;
  }
  if (parameter.kind === "boolean") return h("select", {}, h("option", { value: "true" }, "on"), h("option", { value: "false" }, "off"));
  const isNumber = parameter.kind === "integer" || parameter.kind === "number";
  return h("input", {
    type: isNumber ? "number" : "text", required: parameter.is_required, step: parameter.kind === "integer" ? 1 : "any",
    min: parameter.least, max: parameter.most, value: parameter.default ?? "", spellcheck: "false", autocomplete: "off",
  });
}

function valueOf(parameter, control) {
  if (control.value === "") return undefined;
  switch (parameter.kind) {
    case "boolean": return control.value === "true";
    case "integer":
    case "number": return Number(control.value);
    case "list": return control.value.split(",").map((each) => each.trim()).filter(Boolean);
    default: return control.value;
  }
}

function commandTable(commands) {
  if (!commands.length) return [];
  return [
    h("h3", { class: "section-title" }, "Vendor messages of this station"),
    h("div", { class: "card flush scroll", tabindex: "0", role: "region", "aria-label": "Vendor messages" }, h("table", { class: "plain" },
      h("thead", {}, h("tr", {}, ...["Vendor", "Message", "Action", "Open to"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, ...commands.map((command) => h("tr", {}, h("td", {}, command.vendor_id), h("td", {}, command.message_id || "(any)"),
        h("td", {}, h("code", {}, command.action)), h("td", {}, command.sources.join(", "))))))),
  ];
}
