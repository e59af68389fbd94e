// A button that makes or uses a passkey (WebAuthn), and sends its form with what the authenticator answers.
//
// <pass-key data-do="create|get" [data-from=URL]> wraps the button. Options come from the JSON inside, or from data-from.
// The answer goes into the form's hidden field "credential".

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const described = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));

// Every browser with passkeys understands this; the JSON methods of PublicKeyCredential are younger.
export function fromServer({ publicKey }) {
  const options = { ...publicKey, challenge: toBytes(publicKey.challenge) };
  if (options.user) options.user = { ...options.user, id: toBytes(options.user.id) };
  if (options.excludeCredentials) options.excludeCredentials = described(options.excludeCredentials);
  if (options.allowCredentials) options.allowCredentials = described(options.allowCredentials);
  return { publicKey: options };
}

export function toServer(credential) {
  const { id, rawId, type, response } = credential;
  const answer = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) answer[name] = toText(response[name]);
  }
  if (response.getTransports) answer.transports = response.getTransports();
  return { id, rawId: toText(rawId), type, response: answer, clientExtensionResults: credential.getClientExtensionResults() };
}

export class PassKey extends HTMLElement {
  #button;
  #form;
  #said;

  connectedCallback() {
    this.#button = this.querySelector("button");
    this.#form = this.#button.form;
    this.#said = document.createElement("p");
    this.#said.className = "bad";
    this.#said.setAttribute("role", "alert");
    this.append(this.#said);
    if (!window.PublicKeyCredential) {
      this.#button.disabled = true;
      this.#said.className = "hint";
      this.#said.textContent = "Passkeys need an address with https:// or localhost, and this page has neither.";
    }
    this.#button.addEventListener("click", (event) => {
      event.preventDefault();
      this.#run();
    });
  }

  async #run() {
    this.#said.textContent = "";
    this.#button.disabled = true;
    try {
      const credential = await this.#ceremony(await this.#options());
      this.#form.elements.credential.value = JSON.stringify(toServer(credential));
      this.#form.submit();
    } catch (error) {
      this.#said.textContent = error.name === "InvalidStateError" ? "This passkey is added already." : "Nothing came of it. Try again, or choose another way.";
      this.#button.disabled = false;
    }
  }

  async #options() {
    if (!this.dataset.from) return JSON.parse(this.querySelector("script").textContent);
    const response = await fetch(this.dataset.from, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(response.statusText);
    return (await response.json()).request_options;
  }

  #ceremony(options) {
    if (this.dataset.do === "get") return navigator.credentials.get(fromServer(options));
    const alone = this.#form.elements.passwordless?.checked;
    const selection = { ...options.publicKey.authenticatorSelection, requireResidentKey: alone };
    selection.residentKey = alone ? "required" : "discouraged";
    if (alone) selection.userVerification = "required";
    return navigator.credentials.create(fromServer({ publicKey: { ...options.publicKey, authenticatorSelection: selection } }));
  }
}
customElements.define("pass-key", PassKey);
