// Uploads, firmware, diagnostics: how far they are, and how they ended.

import { report } from "./dialog.js";
import { h, setHidden, setText } from "./dom.js";
import { sentence } from "./format.js";

export class Operations {
  constructor(place) {
    this.place = place;
    this.cards = new Map();
  }

  /** One word on an operation: {name, text, share, is_finished, is_failed}. */
  show(progress) {
    const { name, text, share } = progress;
    if (progress.is_finished) {
      if (this.cards.has(name)) report(`${sentence(name)}: ${text}`, progress.is_failed ? "fault" : "charging");
      this.cards.get(name)?.element.remove();
      this.cards.delete(name);
    } else {
      if (!this.cards.has(name)) this.begin(name);
      const card = this.cards.get(name);
      setText(card.words, text);
      if (share === null) card.bar.removeAttribute("value"); // nobody knows how much there is
      else card.bar.value = share;
    }
    setHidden(this.place, this.cards.size === 0);
  }

  begin(name) {
    const words = h("span");
    const bar = h("progress", { max: 1, "aria-label": name });
    const element = h("div", { class: "card progress" }, h("p", {}, h("strong", {}, sentence(name)), " ", words), bar);
    this.cards.set(name, { element, words, bar });
    this.place.append(element);
  }

  forget() {
    this.cards.clear();
    this.place.replaceChildren();
    setHidden(this.place, true);
  }
}
