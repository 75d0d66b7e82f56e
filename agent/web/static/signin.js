// Who looks at the page: signing in and out, and what the role allows.

import { get, post, remove } from "./api.js";
import { ask, report } from "./dialog.js";
import { byId, field, h, setHidden, setText } from "./dom.js";

const RANK = { nobody: 0, viewer: 1, operator: 2, installer: 3, service: 3 };

export class Account {
  /** `onChange()` is called when somebody else looks, or may do something else. */
  constructor(onChange) {
    this.role = "nobody";
    this.hasPasswords = false;
    this.isAsking = false;
    this.onChange = onChange;
    this.button = byId("account");
    this.button.addEventListener("click", () => (this.isSignedIn ? this.signOut() : this.signIn()));
  }

  get isSignedIn() {
    return this.means === "session";
  }

  can(role) {
    return RANK[this.role] >= RANK[role];
  }

  /** Ask the station who is asking. Returns true when the page may look. */
  async learn() {
    const who = await get("/api/v1/session");
    const was = this.role;
    this.role = who.role;
    this.means = who.means;
    this.hasPasswords = who.has_password;
    setHidden(this.button, !this.isSignedIn && !this.hasPasswords);
    setText(this.button, this.isSignedIn ? `Sign out (${who.role})` : "Sign in");
    if (was !== this.role) this.onChange();
    return this.can("viewer");
  }

  /** Ask for a password until somebody is in, or gives up. */
  async signIn() {
    if (this.isAsking) return;
    this.isAsking = true;
    const password = h("input", { type: "password", autocomplete: "current-password", required: true, name: "password" });
    await ask({
      title: "Sign in",
      text: "The password says what you may do: look, operate or install.",
      content: [field("Password", password)],
      confirm: "Sign in",
      act: async () => {
        await post("/api/v1/session", { password: password.value });
        await this.learn();
      },
    });
    this.isAsking = false;
  }

  async signOut() {
    try {
      await remove("/api/v1/session");
      location.reload();
    } catch (error) {
      report(error.message, "fault");
    }
  }
}
