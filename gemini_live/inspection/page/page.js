"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const duration = Math.max(data.duration_s, 0.1);
  const wave = $("wave"), whole = $("whole"), latency = $("latency"), tip = $("tip");
  const LANES = ["you", "model"];
  const view = { start: 0, end: duration };
  let head = 0, chosen = -1;

  // Text reaches the page by textContent only.
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const time = (t) => {
    const m = Math.floor(t / 60), s = (t - 60 * m).toFixed(2).padStart(5, "0");
    return m >= 60 ? `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${s}` : `${m}:${s}`;
  };
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Peaks: each level holds the maxima of four values of the one before.
  const levels = data.peaks.map((text) => {
    const made = [bytesOf(text)];
    while (made[made.length - 1].length > 512) {
      const fine = made[made.length - 1], coarse = new Uint8Array(Math.ceil(fine.length / 4));
      for (let i = 0; i < fine.length; i++) if (fine[i] > coarse[i >> 2]) coarse[i >> 2] = fine[i];
      made.push(coarse);
    }
    return made;
  });
  const peak = (lane, from, to) => {
    let level = 0, rate = data.peaks_per_s;
    while (level + 1 < levels[lane].length && (to - from) * rate > 8) { level++; rate /= 4; }
    const values = levels[lane][level];
    let found = 0;
    for (let i = Math.floor(from * rate), end = Math.max(i + 1, Math.ceil(to * rate)); i < end; i++) {
      if (values[i] > found) found = values[i];
    }
    return found / 255;
  };

  // Sound: pieces of 8 bits (mu-law), decoded when they are needed.
  const MU = Float32Array.from({ length: 256 }, (_, byte) => {
    const b = ~byte & 255, size = (((b & 15) << 3) + 132) << (b >> 4 & 7);
    return (b & 128 ? 132 - size : size - 132) / 32768;
  });
  const pieces = [...document.querySelectorAll("script.sound")].map((node) => ({
    node, lane: +node.dataset.lane, start: +node.dataset.start, length: +node.dataset.length,
  }));
  let context = null, gains = [], sources = [], scheduled = 0, began = 0, from = 0, timer = 0;
  const isPlaying = () => timer !== 0;
  const schedule = () => {
    const horizon = now() + 20;
    for (const piece of pieces) {
      if (piece.start >= horizon || piece.start + piece.length <= now() || piece.source) continue;
      const bytes = bytesOf(piece.node.textContent);
      const buffer = context.createBuffer(1, Math.max(1, bytes.length), data.sound_hz);
      const samples = buffer.getChannelData(0);
      for (let i = 0; i < bytes.length; i++) samples[i] = MU[bytes[i]];
      const source = piece.source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(gains[piece.lane]);
      const late = now() - piece.start;
      source.start(began + Math.max(0, piece.start - from), Math.max(0, late));
      source.onended = () => { if (piece.source === source) piece.source = null; };
      sources.push(piece);
    }
  };
  const now = () => clamp(from + (context ? context.currentTime - began : 0), 0, duration);
  const stop = () => {
    if (!isPlaying()) return;
    head = now();
    clearInterval(timer);
    timer = 0;
    for (const piece of sources) if (piece.source) { piece.source.onended = null; piece.source.stop(); piece.source = null; }
    sources = [];
    $("play").textContent = "Play";
  };
  const play = () => {
    if (!context) {
      context = new AudioContext();
      gains = LANES.map(() => { const gain = context.createGain(); gain.connect(context.destination); return gain; });
      applyMutes();
    }
    context.resume();
    if (head >= duration - 0.05) head = 0;
    from = head;
    began = context.currentTime + 0.05;
    timer = setInterval(schedule, 1000);
    schedule();
    $("play").textContent = "Pause";
    requestAnimationFrame(follow);
  };
  const follow = () => {
    if (!isPlaying()) return;
    head = now();
    if (head > view.end || head < view.start) show(head - 0.1 * (view.end - view.start));
    if (head >= duration) stop();
    draw();
    requestAnimationFrame(follow);
  };
  const applyMutes = () => LANES.forEach((name, lane) => {
    if (gains[lane]) gains[lane].gain.value = $(name).getAttribute("aria-pressed") === "true" ? 1 : 0;
  });
  const seek = (t) => {
    const was = isPlaying();
    stop();
    head = clamp(t, 0, duration);
    if (head < view.start || head > view.end) show(head - 0.2 * (view.end - view.start));
    if (was) play();
    draw();
  };

  // The time line
  const show = (start, length = view.end - view.start) => {
    length = clamp(length, Math.min(0.2, duration), duration);
    view.start = clamp(start, 0, duration - length);
    view.end = view.start + length;
  };
  const zoom = (factor, around = clamp(head, view.start, view.end)) => {
    const length = clamp((view.end - view.start) * factor, Math.min(0.2, duration), duration);
    show(around - (around - view.start) * length / (view.end - view.start), length);
    draw();
  };
  const prepare = (canvas) => {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const paint = canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, width, height);
    paint.font = "11px system-ui, sans-serif";
    return [paint, width, height];
  };
  const TOP = 20, MARKS = 46;
  const KINDS = { typed: "you", heard: "you", speech: "you", words: "model", "first sound": "model", interrupted: "bad", error: "bad", closed: "bad", underrun: "bad", "connection failed": "bad" };
  const markColor = (kind) => color(KINDS[kind] || "label");
  const lane = (paint, which, middle, half, start, end, width) => {
    paint.fillStyle = color(LANES[which]);
    for (let x = 0; x < width; x++) {
      const t = start + (end - start) * x / width, value = peak(which, t, t + (end - start) / width);
      const tall = Math.max(value ? 0.5 : 0, Math.sqrt(value) * half);
      if (tall) paint.fillRect(x, middle - tall, 1, 2 * tall);
    }
  };
  const draw = () => {
    const [paint, width, height] = prepare(wave);
    const span = view.end - view.start, x = (t) => (t - view.start) / span * width;
    const tall = (height - TOP - MARKS) / 2;
    let step = 0.01;
    for (const each of [0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600]) if (span / step > width / 90) step = each;
    paint.fillStyle = color("quiet");
    paint.strokeStyle = color("line");
    for (let i = Math.ceil(view.start / step); i * step <= view.end; i++) {
      paint.fillText(step < 1 ? time(i * step) : time(i * step).slice(0, -3), x(i * step) + 3, 13);
      paint.beginPath(); paint.moveTo(x(i * step) + 0.5, 0); paint.lineTo(x(i * step) + 0.5, height); paint.stroke();
    }
    paint.globalAlpha = 0.13;
    for (const turn of data.turns) {
      if (turn.began_s > view.end || turn.until_s < view.start) continue;
      paint.fillStyle = turn.number % 2 ? color("quiet") : color("line");
      paint.fillRect(x(turn.began_s), TOP, Math.max(1, x(turn.until_s) - x(turn.began_s)), height - TOP - MARKS);
    }
    paint.globalAlpha = 1;
    lane(paint, 0, TOP + tall / 2, tall / 2 - 3, view.start, view.end, width);
    lane(paint, 1, TOP + 1.5 * tall, tall / 2 - 3, view.start, view.end, width);
    paint.fillStyle = color("quiet");
    paint.fillText("you", 6, TOP + 12); paint.fillText("model", 6, TOP + tall + 12);
    let last = -9;
    for (let i = firstAfter(view.start); i < data.marks.length && data.marks[i].t <= view.end; i++) {
      const at = x(data.marks[i].t), is = i === chosen;
      if (!is && at - last < 1.5) continue;
      last = at;
      paint.fillStyle = markColor(data.marks[i].kind);
      paint.beginPath();
      paint.arc(at, height - MARKS + 14, is ? 6 : 4, 0, 7);
      paint.fill();
      if (is) paint.fillRect(at - 0.5, TOP, 1, height - TOP - MARKS + 14);
    }
    let free = -9;
    for (let i = firstAfter(view.start); i < data.marks.length && data.marks[i].t <= view.end; i++) {
      const mark = data.marks[i], at = x(mark.t), text = mark.kind;
      if (at < free || !data.named.includes(mark.kind)) continue;
      paint.fillStyle = color("quiet");
      paint.fillText(text, clamp(at - 3, 3, width - paint.measureText(text).width - 3), height - MARKS + 34);
      free = at + paint.measureText(text).width + 10;
    }
    if (head >= view.start && head <= view.end) {
      paint.fillStyle = color("head");
      paint.fillRect(x(head) - 1, 0, 2, height);
    }
    const [small, w, h] = prepare(whole);
    lane(small, 0, h / 4, h / 4 - 1, 0, duration, w);
    lane(small, 1, 3 * h / 4, h / 4 - 1, 0, duration, w);
    small.strokeStyle = color("head");
    small.strokeRect(view.start / duration * w + 0.5, 0.5, Math.max(3, (view.end - view.start) / duration * w - 1), h - 1);
    $("clock").textContent = `${time(head)} / ${time(duration)}`;
  };
  const firstAfter = (t) => {
    let low = 0, high = data.marks.length;
    while (low < high) { const middle = (low + high) >> 1; if (data.marks[middle].t < t) low = middle + 1; else high = middle; }
    return low;
  };

  // Events
  const list = $("list"), rows = $("rows"), ROW = 24;
  rows.style.height = `${data.marks.length * ROW}px`;
  const fill = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3);
    const end = Math.min(data.marks.length, first + Math.ceil(list.clientHeight / ROW) + 6);
    const made = [];
    for (let i = first; i < end; i++) {
      const mark = data.marks[i], row = element("div", undefined, "row");
      row.style.top = `${i * ROW}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(i === chosen));
      const kind = element("span", mark.kind, `k ${KINDS[mark.kind] || "label"}`);
      row.append(element("span", time(mark.t), "t"), kind, element("span", mark.text, "x"));
      row.addEventListener("click", () => choose(i));
      made.push(row);
    }
    rows.replaceChildren(...made);
  };
  const choose = (i, moves = true) => {
    if (!data.marks.length) return;
    chosen = clamp(i, 0, data.marks.length - 1);
    const mark = data.marks[chosen];
    if (chosen * ROW < list.scrollTop || (chosen + 1) * ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = chosen * ROW - list.clientHeight / 2;
    }
    fill();
    const message = mark.line === null ? undefined : data.messages[mark.line];
    $("what").textContent = `${mark.kind} at ${time(mark.t)}` + (mark.line === null ? "" : `, line ${mark.line} of the recording`);
    $("message").textContent = message === undefined ? mark.text || "There is no message behind this event." : message;
    if (moves) seek(mark.t);
  };
  list.addEventListener("scroll", fill);
  list.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 14, PageUp: -14 }[event.key];
    if (move) { event.preventDefault(); event.stopPropagation(); choose(chosen + move); }
  });

  // Latencies
  const measures = [["first_byte_after_s", "label"], ["first_sound_after_s", "head"]];
  const drawLatency = () => {
    const [paint, width, height] = prepare(latency);
    const values = data.turns.flatMap((turn) => measures.map(([name]) => turn[name] || 0));
    const most = Math.max(0.1, ...values.slice(0, 50000)), left = 40, bottom = height - 18;
    const tallest = bottom - 10, wide = (width - left - 10) / Math.max(1, data.turns.length);
    paint.fillStyle = color("quiet");
    paint.strokeStyle = color("line");
    for (let i = 0; i <= 4; i++) {
      const y = bottom - tallest * i / 4;
      paint.fillText((most * i / 4).toFixed(2), 4, y + 4);
      paint.beginPath(); paint.moveTo(left, y + 0.5); paint.lineTo(width, y + 0.5); paint.stroke();
    }
    data.turns.forEach((turn, i) => {
      measures.forEach(([name, style], k) => {
        const value = turn[name];
        if (value === null) return;
        const each = Math.max(1, Math.min(28, wide * 0.4));
        paint.fillStyle = color(style);
        paint.fillRect(left + i * wide + wide / 2 + (k - 1) * each, bottom - tallest * value / most, each - (each > 3), tallest * value / most);
      });
      if (wide > 24 || i % Math.ceil(30 / wide) === 0) {
        paint.fillStyle = color("quiet");
        paint.fillText(String(turn.number), left + i * wide + wide / 2 - 3, height - 4);
      }
    });
  };
  const turnAt = (event) => {
    const box = latency.getBoundingClientRect();
    return data.turns[Math.floor((event.clientX - box.left - 40) / ((box.width - 50) / Math.max(1, data.turns.length)))];
  };
  const goTo = (turn) => {
    const length = Math.max(2, turn.until_s - turn.began_s);
    show(turn.began_s - 0.1 * length, 1.2 * length);
    seek(turn.began_s);
    const i = firstAfter(turn.began_s - 1e-6);
    if (i < data.marks.length) choose(i, false);
    draw();
  };

  // Tables
  const fillTable = (id, head_, lines, choose_) => {
    const row = (cells, name) => {
      const made = element("tr");
      cells.forEach((cell, i) => made.append(element(name, cell, head_[i][1])));
      return made;
    };
    $(id).tHead.append(row(head_.map(([text]) => text), "th"));
    lines.forEach((line, i) => {
      const made = row(line, "td");
      if (choose_) {
        made.tabIndex = 0;
        made.addEventListener("click", () => choose_(i));
        made.addEventListener("keydown", (event) => { if (event.key === "Enter") choose_(i); });
      }
      $(id).tBodies[0].append(made);
    });
  };
  const shown = data.turns.slice(0, 2000);
  fillTable("turns", data.columns, shown.map((turn) => turn.cells), (i) => goTo(shown[i]));
  fillTable("percentiles", data.percentiles[0].map((text, i) => [text, i ? "" : "w"]), data.percentiles.slice(1));
  $("title").textContent = data.title;
  $("facts").textContent = data.facts.join(" · ");

  // Mouse and keys
  const at = (canvas, event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, event.clientY - box.top];
  };
  const timeAt = (event) => view.start + at(wave, event)[0] * (view.end - view.start);
  const near = (event) => {
    const t = timeAt(event), reach = 7 / wave.clientWidth * (view.end - view.start);
    if (at(wave, event)[1] < wave.clientHeight - MARKS) return -1;
    const i = firstAfter(t - reach);
    let best = -1;
    for (let k = i; k < data.marks.length && data.marks[k].t <= t + reach; k++) {
      if (best < 0 || Math.abs(data.marks[k].t - t) < Math.abs(data.marks[best].t - t)) best = k;
    }
    return best;
  };
  let drag = null;
  wave.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, start: view.start, moved: false }; wave.setPointerCapture(event.pointerId); });
  wave.addEventListener("pointermove", (event) => {
    if (drag) {
      drag.moved ||= Math.abs(event.clientX - drag.x) > 4;
      if (drag.moved) { show(drag.start - (event.clientX - drag.x) / wave.clientWidth * (view.end - view.start)); draw(); }
      return;
    }
    const i = near(event);
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.textContent = `${time(data.marks[i].t)}  ${data.marks[i].kind}  ${data.marks[i].text}`.slice(0, 300);
    tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - 430)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  wave.addEventListener("pointerleave", () => { tip.hidden = true; });
  wave.addEventListener("pointerup", (event) => {
    const moved = drag && drag.moved;
    drag = null;
    if (moved) return;
    const i = near(event);
    if (i >= 0) choose(i); else seek(timeAt(event));
  });
  wave.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      show(view.start + (event.deltaX || event.deltaY) / 1000 * (view.end - view.start));
      draw();
    } else zoom(Math.exp(clamp(event.deltaY, -200, 200) / 500), timeAt(event));
  }, { passive: false });
  const jump = (event) => { if (event.buttons) { show(at(whole, event)[0] * duration - (view.end - view.start) / 2); draw(); } };
  whole.addEventListener("pointerdown", jump);
  whole.addEventListener("pointermove", jump);
  latency.addEventListener("click", (event) => { const turn = turnAt(event); if (turn) goTo(turn); });
  latency.addEventListener("pointermove", (event) => { latency.title = (turnAt(event) || { cells: [] }).cells.join("  "); });
  const toggle = () => (isPlaying() ? stop() : play());
  $("play").addEventListener("click", toggle);
  $("in").addEventListener("click", () => zoom(0.5));
  $("out").addEventListener("click", () => zoom(2));
  $("all").addEventListener("click", () => { show(0, duration); draw(); });
  LANES.forEach((name) => $(name).addEventListener("click", () => {
    $(name).setAttribute("aria-pressed", String($(name).getAttribute("aria-pressed") !== "true"));
    applyMutes();
  }));
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = (root.dataset.theme || (isDark ? "dark" : "light")) === "dark" ? "light" : "dark";
    draw(); drawLatency();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("button") && event.key === " ") return;
    const step = event.shiftKey ? 10 : 1;
    const actions = {
      " ": toggle, ArrowLeft: () => seek(head - step), ArrowRight: () => seek(head + step),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => { show(0, duration); draw(); },
      Home: () => seek(0), End: () => seek(duration),
      n: () => choose(chosen < 0 ? firstAfter(head) : chosen + 1), p: () => choose(chosen < 0 ? firstAfter(head) - 1 : chosen - 1),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action && !(event.target === $("message") && event.key.startsWith("Arrow"))) { event.preventDefault(); action(); }
  });
  const redraw = () => { draw(); drawLatency(); fill(); };
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
  // page.html#12.5 opens the page at this time.
  const wanted = parseFloat(location.hash.slice(1));
  if (wanted >= 0) choose(firstAfter(wanted));
  document.documentElement.dataset.ready = "true";
})();
