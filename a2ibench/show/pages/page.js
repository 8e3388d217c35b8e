// What a page gains with a script: columns sort, rows open, and the gallery. Texts are set as text, never as HTML.
"use strict";
{
  document.documentElement.classList.add("js");
  const data = JSON.parse(document.getElementById("data").textContent);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const build = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const make = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) =>
    build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  // Not held[key]: a metric may be called "constructor".
  const own = (held, key) => (Object.hasOwn(held, key) ? held[key] : undefined);
  const shown = (value, metric) => (value == null ? "–" : value.toFixed(metric.digits));

  // ------------------------------------------------------------------------------------------------ sorting

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.querySelector("tbody.rows");
    const rows = [...body.rows];
    const rank = table.querySelector("[data-rank-of]");
    const told = table.querySelector("[data-sorted-by]");

    const sort = (column) => {
      const head = heads[column];
      const turned = { ascending: "descending", descending: "ascending" }[head.getAttribute("aria-sort")];
      const direction = turned || head.dataset.first;
      const key = (row) => {
        const held = row.cells[column].dataset.value;
        if (head.dataset.sort === "text") return held.toLowerCase();
        return held === undefined || held === "" ? null : Number(held);
      };
      const keyed = rows.map((row, index) => ({ row, index, key: key(row) }));
      keyed.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.index - b.index;
        const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
        return (direction === "ascending" ? order : -order) || a.index - b.index;
      });
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      for (const { row } of keyed) body.append(row, ...(row.detail ? [row.detail] : []));
      if (told) told.textContent = `Sorted by ${head.dataset.name}.`;
      if (rank && head.dataset.ranked) {
        rank.textContent = head.dataset.name;
        for (const row of rows) row.querySelector("td.rank").textContent = row.cells[column].dataset.rank || "–";
      }
    };

    heads.forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(column));
    });
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) sortable(table);

  // ------------------------------------------------------------------------------------- bars for each class

  const choice = (name, options) => {
    const select = make("select");
    options.forEach((option, index) => select.append(make("option", { value: index }, option)));
    return [make("label", {}, name, select), select];
  };

  const bar = (value, others, metric) => {
    const [low, high] = metric.domain;
    const place = (x) => (high > low ? Math.min(100, Math.max(0, (100 * (x - low)) / (high - low))) : 50);
    const picture = draw("svg", { class: "bar", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" });
    picture.append(draw("rect", { class: "track", x: 0, y: 3, width: 100, height: 8 }));
    picture.append(draw("rect", { class: "fill", x: 0, y: 3, width: place(value), height: 8 }));
    for (const x of others) {
      const line = { class: "other", x1: place(x), x2: place(x), y1: 1, y2: 13, "vector-effect": "non-scaling-stroke" };
      picture.append(draw("line", line));
    }
    return picture;
  };

  const bars = (method, metric) => {
    const list = make("ol", { class: "bars", tabindex: "0", "aria-label": `${method.name}: mean ${metric.name} of each class` });
    const means = own(method.classes, metric.key) || [];
    const order = means.map((mean, index) => ({ mean, index })).filter(({ mean }) => mean !== null);
    order.sort((a, b) => b.mean - a.mean || a.index - b.index);
    for (const { mean, index } of order) {
      const { label, n } = data.classes[index];
      const others = data.methods.filter((other) => other !== method).map((other) => own(other.classes, metric.key)?.[index]);
      list.append(
        make(
          "li",
          {},
          make("span", { class: "label", title: label }, label),
          bar(mean, others.filter((x) => x != null), metric),
          make("span", { class: "mean" }, shown(mean, metric)),
          make("span", { class: "n" }, `n ${n}`),
        ),
      );
    }
    return list;
  };

  const openable = (row) => {
    const method = data.methods.find((each) => each.slug === row.dataset.method);
    const metrics = data.metrics.filter((metric) => method && own(method.classes, metric.key));
    if (!metrics.length) return;
    const id = `classes-${method.slug}`;
    const name = row.querySelector(".name");
    const button = make("button", { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": id });
    name.replaceWith(button);
    button.append(name);

    const [label, select] = choice("Metric", metrics.map((metric) => metric.name));
    const inner = make("div", { class: "inner" }, make("div", { class: "controls" }, label));
    inner.append(make("p", { class: "small" }, "Means over the clips of each class; the thin lines are the other methods."));
    const detail = make("tr", { class: "detail", id, hidden: "" }, make("td", { colspan: row.cells.length }, inner));
    row.after(detail);
    row.detail = detail;
    const fill = () => {
      inner.querySelector(".bars")?.remove();
      inner.append(bars(method, metrics[select.value]));
    };
    select.addEventListener("change", fill);
    button.addEventListener("click", () => {
      detail.hidden = !detail.hidden;
      button.setAttribute("aria-expanded", String(!detail.hidden));
      if (!detail.hidden) fill();
    });
  };
  for (const row of document.querySelectorAll("tr[data-method]")) openable(row);

  // ------------------------------------------------------------------------------------------------ pictures

  const loading = new Map();
  const load = (source) => {
    if (!loading.has(source)) {
      const image = new Image();
      image.src = source;
      loading.set(source, image.decode().then(() => image));
    }
    return loading.get(source);
  };

  const placeholder = (text) => make("div", { class: "none" }, text);

  // A canvas, not a background: scaled backgrounds let the neighbouring tiles bleed in.
  const tile = (sheet, clip, label) => {
    const place = sheet ? sheet.clips.indexOf(clip) : -1;
    const frame = make("div", { class: "picture" });
    if (place < 0) {
      frame.append(placeholder(sheet ? `no ${data.task.made}` : "not here"));
      return frame;
    }
    load(sheet.src).then(
      (image) => {
        const width = image.naturalWidth / sheet.columns;
        const height = sheet.tile;
        const canvas = make("canvas", { width, height, role: "img", "aria-label": label });
        const [x, y] = [(place % sheet.columns) * width, Math.floor(place / sheet.columns) * height];
        canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
        frame.prepend(canvas);
      },
      () => frame.append(placeholder("not here")),
    );
    return frame;
  };

  // A player of what is given, real or made; over a spectrogram a line follows what is heard.
  const player = (kind, source, label, frame, name) => {
    const absent = () => make("p", { class: "none" }, `The ${name} is not here.`);
    if (!source) return absent();
    const audio = make(kind, { controls: "", preload: kind === "video" ? "metadata" : "none", src: source, "aria-label": label });
    audio.addEventListener("error", () => audio.replaceWith(absent()));
    if (kind !== "audio") return audio;
    const head = make("span", { class: "head", hidden: "" });
    frame.append(head);
    const follow = () => {
      const seconds = Math.min(audio.duration || Infinity, data.seconds); // what the spectrogram shows
      head.hidden = audio.ended || !(audio.currentTime > 0) || audio.currentTime > seconds;
      head.style.left = `${(100 * audio.currentTime) / seconds}%`;
      if (!audio.paused && !calm.matches) requestAnimationFrame(follow);
    };
    for (const event of ["play", "timeupdate", "ended"]) audio.addEventListener(event, follow);
    return audio;
  };

  // One player at a time; but a sound that is played beside a silent video takes the video along.
  const taken = (sound) => (sound.tagName === "AUDIO" && data.task?.condition === "video" ? sound.closest(".card")?.querySelector("video") : null);
  let led = null;
  const follow = (sound) => {
    const video = taken(sound);
    if (video && video === led) video.currentTime = sound.currentTime;
  };
  const together = {
    play: (sound) => {
      if (sound === led) return;
      const video = taken(sound);
      led = video;
      for (const other of document.querySelectorAll("audio, video")) if (other !== sound && other !== video) other.pause();
      if (!video) return;
      [video.muted, video.currentTime] = [true, sound.currentTime];
      video.play().catch(() => (led = null));
    },
    pause: (sound) => taken(sound) === led && led?.pause(),
    seeked: (sound) => follow(sound),
    playing: (sound) => follow(sound), // a sound begins some time after it was asked to
  };
  for (const [name, act] of Object.entries(together)) document.addEventListener(name, (event) => act(event.target), true);

  // ------------------------------------------------------------------------------------------------- gallery

  const gallery = document.getElementById("cards");
  if (gallery) {
    const byName = (name) => document.getElementById(name);
    const [orderBy, metricBy, classBy] = ["order", "metric", "class"].map(byName);
    const [more, told] = [byName("more"), byName("told")];
    const picks = [...document.querySelectorAll("input[data-pick]")];
    let [queue, next] = [[], 0];

    const metric = () => data.metrics[metricBy.value];
    const chosen = () => {
      const ticked = new Set(picks.filter((box) => box.checked).map((box) => box.value));
      return picks.length ? data.methods.filter((method) => ticked.has(method.slug)) : data.methods;
    };
    const values = (clip) =>
      chosen()
        .map((method) => own(method.values, metric()?.key)?.[clip.index])
        .filter((value) => value != null);
    const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
    const goodness = (clip) => (metric().higher ? 1 : -1) * mean(values(clip));
    const spread = (clip) => {
      const held = values(clip);
      const centre = mean(held);
      return Math.sqrt(mean(held.map((x) => (x - centre) ** 2)));
    };
    const byClass = (a, b) => a.label.localeCompare(b.label) || a.index - b.index;
    const orders = {
      disagree: (clip) => -spread(clip),
      worst: (clip) => goodness(clip),
      best: (clip) => -goodness(clip),
    };

    const card = (clip) => {
      const task = data.task;
      const spectrogram = tile(data.sheets.condition, clip.index, `${task.condition === "audio" ? "Spectrogram" : "Picture"} of ${clip.label}`);
      const given = clip.text == null ? player(task.condition, clip.audio, `${clip.label}, ${clip.id}`, spectrogram, task.given) : make("p", { class: "given" }, clip.text);
      const tiles = make("div", { class: "tiles" });
      const add = (frame, name, value, kind = "", played = null) =>
        tiles.append(
          make("figure", { class: kind === "audio" ? "sound" : "" }, frame, make("figcaption", {}, make("span", {}, name), ...(value ? [make("b", {}, value)] : [])), ...(played ? [played] : [])),
        );
      if (clip.text == null) add(spectrogram, task.given, "", task.condition);
      const real = tile(data.sheets.reference, clip.index, `Real ${task.made} of ${clip.label}`);
      const plays = (kind, source, label, frame, name) => (kind === "audio" || kind === "video" ? player(kind, source, label, frame, name) : null);
      add(real, task.real, "", task.reference, plays(task.reference, clip.real, `Real ${task.made} of ${clip.label}`, real, task.real));
      for (const method of chosen()) {
        const frame = tile(method.sheet, clip.index, `${method.name} on ${clip.label}`);
        const value = metric() ? shown(own(method.values, metric().key)?.[clip.index], metric()) : "";
        add(frame, method.name, value, task.output, plays(task.output, method.outputs?.[clip.index], `${method.name} on ${clip.label}`, frame, task.made));
      }
      tiles.style.setProperty("--n", tiles.children.length);
      return make(
        "article",
        { class: "card", "data-clip": clip.id },
        make("div", {}, make("h3", {}, clip.label), make("p", { class: "id" }, clip.id), given),
        tiles,
      );
    };

    const show = (count) => {
      gallery.append(...queue.slice(next, next + count).map(card));
      next = Math.min(queue.length, next + count);
      more.hidden = next >= queue.length;
      told.textContent = `${next} of ${queue.length} clips shown.`;
    };

    const arrange = () => {
      const key = metric() && orders[orderBy.value];
      queue = data.clips.filter((clip) => !classBy.value || clip.label === classBy.value);
      if (key) {
        const keys = new Map(queue.map((clip) => [clip, values(clip).length ? key(clip) : Infinity]));
        queue.sort((a, b) => (keys.get(a) === keys.get(b) ? byClass(a, b) : keys.get(a) - keys.get(b)));
      } else queue.sort(byClass);
      gallery.replaceChildren();
      next = 0;
      show(12);
    };

    for (const control of [orderBy, metricBy, classBy, ...picks]) control.addEventListener("change", arrange);
    more.addEventListener("click", () => {
      const first = next;
      show(24);
      // The keyboard goes on where the new cards begin.
      const card = gallery.children[first];
      card.tabIndex = -1;
      card.focus({ preventScroll: true });
    });
    arrange();
  }
}
