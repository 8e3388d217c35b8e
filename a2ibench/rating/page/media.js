// What a rater sees, hears, watches or reads: images and texts at once, sounds and videos by a player each.
const PLAYED = { audio: ["listen to", "sound"], video: ["watch", "video"] };

// Make the element of an address; of a text the address is the text itself.
function makeElement(medium, address) {
  if (medium === "text") return Object.assign(document.createElement("p"), { className: "text", textContent: address });
  if (medium === "image") return Object.assign(new Image(), { src: address, draggable: false });
  const made = document.createElement(medium);
  return Object.assign(made, { preload: "auto", playsInline: true, disablePictureInPicture: true, src: address });
}

// A sound or a video with its button. Its `started` says whether the rater has begun to listen.
class Player {
  static current = null; // the one that plays: never two at once

  constructor(element, { button, word, name, changed, failed }) {
    Object.assign(this, { element, button, word, name, changed, failed, started: false });
    this.sign = Object.assign(document.createElement("span"), { ariaHidden: "true" });
    this.label = document.createElement("span");
    button.replaceChildren(this.sign, " ", this.label);
    button.addEventListener("click", () => this.toggle());
    element.addEventListener("playing", () => {
      this.started = true;
      this.say(true);
      changed();
    });
    for (const event of ["pause", "ended"]) element.addEventListener(event, () => this.say(false));
    element.addEventListener("error", () => failed(`The ${element.localName === "video" ? "video" : "sound"} can’t be loaded. Please reload the page.`));
    this.say(false);
  }

  // Begin with another file, or with the same for another item.
  reset(started, address) {
    this.started = started;
    if (address) this.element.src = address;
    else this.element.currentTime = 0;
    this.say(false);
  }

  say(playing) {
    this.sign.textContent = playing ? "■" : "▶";
    this.label.textContent = playing ? "Stop" : this.started ? "Play again" : this.word;
    if (this.name) this.button.setAttribute("aria-label", `${this.label.textContent}: ${this.name}`);
  }

  start() {
    if (Player.current !== this) Player.current?.element.pause();
    Player.current = this;
    return this.element.play();
  }

  toggle() {
    if (!this.element.paused) return this.element.pause();
    this.element.currentTime = 0;
    this.start().catch((error) => error.name === "AbortError" || this.failed("It can’t be played here."));
  }
}

// An output that is played: the video (a sound has nothing to show), the button, and how far it is.
function makePlayed(element, name, changed, failed) {
  const frame = Object.assign(document.createElement("div"), { className: `played ${element.localName}` });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const bar = Object.assign(document.createElement("div"), { className: "bar", ariaHidden: "true" });
  const done = bar.appendChild(document.createElement("div"));
  const player = new Player(element, { button, word: "Play", name, changed, failed });
  const follow = () => {
    done.style.width = `${(100 * element.currentTime) / (element.duration || 1)}%`;
    if (!element.paused && element.isConnected) requestAnimationFrame(follow);
  };
  for (const event of ["playing", "seeked", "ended"]) element.addEventListener(event, follow);
  element.addEventListener("click", () => player.toggle());
  frame.append(element, button, bar);
  return { frame, player };
}

// What to ask of a rater who has not begun to hear all of them; nothing to one who has.
function unheard(players) {
  if (players.every((player) => player.started)) return "";
  const kinds = new Set(players.map((player) => player.element.localName));
  const [verb, noun] = PLAYED[kinds.size === 1 ? [...kinds][0] : "audio"];
  if (players.length === 1) return `Please ${verb} the ${noun} first.`;
  return players.length === 2 && kinds.size === 1 ? `Please ${verb} both ${noun}s first.` : "Please play all of them first.";
}
