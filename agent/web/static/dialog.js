// Questions before something that matters, and short reports of how it went.

import { byId, focusOrBeside, h, icon } from "./dom.js";

/** Ask in a dialog. `content`: further elements, e.g. fields; `act()` runs on the main button and keeps it open when it throws.
 *  Resolves to true when it was done, to false when it was cancelled. */
export function ask({ title, text, content = [], confirm, tone = "accent", act = async () => {} }) {
  const opener = document.activeElement;
  return new Promise((resolve) => {
    const problem = h("p", { class: "problem", role: "alert" });
    const go = h("button", { type: "submit", class: `main ${tone}` }, confirm);
    const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    let isDone = false;
    const form = h("form", {
      method: "dialog",
      on: {
        submit: async (event) => {
          event.preventDefault();
          if (isBusy(go)) return;
          setBusy(go, true);
          problem.textContent = "";
          try {
            await act();
            isDone = true;
            dialog.close();
          } catch (error) {
            problem.textContent = error.message;
          } finally {
            setBusy(go, false);
          }
        },
      },
    }, h("h2", { id: "dialog-title" }, title), text ? h("p", {}, text) : null, ...content, problem,
    h("div", { class: "buttons" }, cancel, go));
    const dialog = h("dialog", {
      "aria-labelledby": "dialog-title",
      on: { close: () => { dialog.remove(); focusOrBeside(opener); resolve(isDone); } },
    }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}

const isBusy = (button) => button.getAttribute("aria-busy") === "true";

/** A button that waits keeps the focus: one that is disabled would lose it. */
function setBusy(button, isIt) {
  if (isIt) button.setAttribute("aria-busy", "true");
  else button.removeAttribute("aria-busy");
}

const SHOWN_MS = 7000;

/** A short report: tone "charging" (it worked), "attention" or "fault" (it did not; that stays until it is closed). */
export function report(text, tone = "charging") {
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close this report", on: { click: () => toast.remove() } }, "×");
  const toast = h("div", { class: "toast", "data-tone": tone }, icon(tone === "charging" ? "done" : "warn"), h("p", {}, text), close);
  const toasts = byId("toasts");
  toasts.append(toast);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  if (tone !== "fault") setTimeout(() => toast.remove(), SHOWN_MS);
}

/** Run something at a button: it waits meanwhile, and what goes wrong is said. Returns what came back, or undefined. */
export async function attempt(button, act) {
  if (isBusy(button)) return undefined;
  setBusy(button, true);
  try {
    return await act();
  } catch (error) {
    report(error.message, "fault");
    return undefined;
  } finally {
    setBusy(button, false);
  }
}
