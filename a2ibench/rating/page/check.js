// Whether a rater wears headphones (Woods, Siegel, Traer & McDermott 2017, Attention, Perception & Psychophysics 79):
// which of three tones is quietest? One is quieter by 6 dB; another has its two channels in opposite phase, so that
// loudspeakers, but not headphones, cancel it. Sounds are made here: nothing is loaded.
"use strict";

const CHECK = { trials: 6, enough: 5, hertz: 200, seconds: 1, ramp: 0.1, gap: 0.5, level: 0.25, quieter: 10 ** (-6 / 20) };

// The three tones one after the other, [2 channels]: `quiet` and `opposite` are the places of the two special ones.
function checkSound(context, quiet, opposite) {
  const { hertz, seconds, ramp, gap, level, quieter } = CHECK;
  const rate = context.sampleRate;
  const buffer = context.createBuffer(2, Math.round(rate * (3 * seconds + 2 * gap)), rate);
  const [left, right] = [buffer.getChannelData(0), buffer.getChannelData(1)];
  for (let tone = 0; tone < 3; tone += 1) {
    const from = Math.round(tone * (seconds + gap) * rate);
    for (let i = 0; i < seconds * rate; i += 1) {
      const time = i / rate;
      const edge = Math.min(1, time / ramp, (seconds - time) / ramp);
      const value = level * edge * (tone === quiet ? quieter : 1) * Math.sin(2 * Math.PI * hertz * time);
      left[from + i] = value;
      right[from + i] = tone === opposite ? -value : value;
    }
  }
  return buffer;
}

// Ask six times; `done` is called once enough answers were right.
function checkHeadphones(done) {
  let [trial, right, quiet, source] = [0, 0, 0, null];
  let context = null;
  const choices = [...at("check-choices").children];

  function next() {
    quiet = Math.floor(Math.random() * 3);
    at("check-place").textContent = `${trial + 1} of ${CHECK.trials}`;
    for (const button of choices) button.disabled = true;
  }

  function play() {
    context ??= new AudioContext();
    source?.stop();
    source = context.createBufferSource();
    source.buffer = checkSound(context, quiet, (quiet + 1 + Math.floor(Math.random() * 2)) % 3);
    source.connect(context.destination);
    source.start();
    for (const button of choices) button.disabled = false;
  }

  function answer(place) {
    source?.stop();
    right += place === quiet;
    trial += 1;
    if (trial < CHECK.trials) {
      next();
      return play();
    }
    if (right >= CHECK.enough) {
      context.close();
      say("");
      return done();
    }
    say("It seems that you hear through loudspeakers. Please put on headphones and try again.", true);
    [trial, right] = [0, 0];
    next();
  }

  choices.forEach((button, place) => (button.onclick = () => answer(place)));
  at("check-play").onclick = play;
  next();
  show("check");
}
