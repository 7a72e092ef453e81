"use strict";
// The player of a case: keys, frames one by one, the storyboard, lines that jump.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4];
  const JUMP = 5;
  const LOUDER = 0.1;
  // The first guess at how long a frame is shown. The guess grows by half until the picture
  // changes, so that it never passes a frame: what is first beyond one is not beyond two.
  const LEAST = 1 / 120;
  const GROWTH = 1.5;
  let video = null;
  // Seconds at which the frame that is shown begins, and for how long one is shown.
  let shown = 0;
  let interval = null;
  let stepping = false;
  let due = 0;
  // Counts the moves that a person makes; each ends the steps that were still to come. The next
  // step waits until the frame of the last move is painted.
  let moves = 0;
  let landed = null;

  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const revealed = () => $("#reveal")?.hidden === true;

  function tell(words) {
    const told = $("#told");
    if (told) told.textContent = words;
  }

  function show() {
    const moment = $("#moment");
    if (moment && video) moment.textContent = `${clock(video.currentTime)}${(video.currentTime % 1).toFixed(3).slice(1)} · ${video.playbackRate}×`;
  }

  function seek(seconds) {
    if (!video) return;
    const end = Number.isFinite(video.duration) ? video.duration : seconds;
    video.currentTime = Math.max(0, Math.min(seconds, end));
    show();
  }

  function move(seconds) {
    moves += 1;
    due = 0;
    landed = painted();
    seek(seconds);
  }

  // Frames

  function watchFrames() {
    let last = null;
    const look = (_now, facts) => {
      if (last && !video.paused && !video.seeking) {
        const frames = facts.presentedFrames - last.presentedFrames;
        const each = (facts.mediaTime - last.mediaTime) / frames;
        if (frames > 0 && each > 1 / 250 && each < 0.5) interval = Math.min(interval ?? each, each);
      }
      last = facts;
      shown = facts.mediaTime;
      show();
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  }

  const painted = () => new Promise((done) => {
    const end = setTimeout(done, 2000);
    video.addEventListener("seeked", () => {
      requestAnimationFrame(() => requestAnimationFrame(() => { clearTimeout(end); done(); }));
    }, { once: true });
  });

  async function toNextFrame(direction) {
    const began = moves;
    await landed;
    const from = shown;
    let reach = interval ?? LEAST;
    while (moves === began && shown === from && (direction > 0 ? from + reach < video.duration : from > 0)) {
      const there = painted();
      // Just before this frame is the one before it, however long that is shown.
      seek(direction > 0 ? from + reach * (interval === null ? 1 : GROWTH) : from - Math.min(reach, from) / 2);
      await there;
      if (shown === from) reach *= GROWTH;
      if (reach > 10) break;
    }
    if (moves === began && shown > from) interval = Math.min(interval ?? Infinity, shown - from);
  }

  // Keys may come faster than frames are painted: each of them counts.
  async function step(direction) {
    video.pause();
    if (!video.requestVideoFrameCallback) { seek(video.currentTime + direction / 25); return; }
    due += direction;
    if (stepping) return;
    stepping = true;
    while (due !== 0) {
      const [way, began] = [Math.sign(due), moves];
      await toNextFrame(way);
      if (moves === began) due -= way;
    }
    stepping = false;
  }

  // Evidence

  function toEvidence(direction) {
    const starts = [...new Set([...document.querySelectorAll(".timeline [data-seek]")].map((one) => Number(one.dataset.seek)))].sort((a, b) => a - b);
    if (!starts.length) { tell("No evidence has a time."); return; }
    const at = video.currentTime;
    const near = video.paused ? 0.05 : 1;
    const next = direction > 0 ? starts.find((one) => one > at + 0.05) : starts.findLast((one) => one < at - near);
    const chosen = next ?? (direction > 0 ? starts[0] : starts.at(-1));
    move(chosen);
    tell(`evidence ${starts.indexOf(chosen) + 1} of ${starts.length}, ${clock(chosen)}`);
  }

  // Speed and sound

  function faster(direction) {
    const place = SPEEDS.indexOf(video.playbackRate);
    const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (place < 0 ? SPEEDS.indexOf(1) : place) + direction))];
    video.playbackRate = next;
    tell(`speed ${next}×`);
    show();
  }

  function louder(direction) {
    if (!revealed()) { tell("Reveal the media first (b): until then it is muted."); return; }
    if (direction === 0) video.muted = !video.muted;
    else {
      video.volume = Math.max(0, Math.min(1, Math.round((video.volume + direction * LOUDER) * 10) / 10));
      video.muted = video.volume === 0;
    }
    tell(video.muted ? "muted" : `volume ${Math.round(video.volume * 100)} %`);
  }

  const KEYS = {
    " ": () => { if (video.paused) video.play().catch(() => tell("This browser cannot play the media.")); else video.pause(); },
    ArrowLeft: () => move(video.currentTime - JUMP),
    ArrowRight: () => move(video.currentTime + JUMP),
    ",": () => step(-1),
    ".": () => step(1),
    "<": () => faster(-1),
    ">": () => faster(1),
    e: () => toEvidence(1),
    E: () => toEvidence(-1),
    "-": () => louder(-1),
    "+": () => louder(1),
    "=": () => louder(1),
    v: () => louder(0),
  };
  const REPEATED = ["ArrowLeft", "ArrowRight", ",", ".", "-", "+", "="];
  // Where these keys have a meaning of their own.
  const TYPED = "input:not([type=radio], [type=checkbox]), textarea, select, dialog[open], [contenteditable]";
  const OWN = { " ": "input, button, summary, label", ArrowLeft: "input, .scroll", ArrowRight: "input, .scroll" };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.(TYPED) || $("dialog[open]")) return;
    if (event.key === "f" && !event.repeat && $("#find")) { event.preventDefault(); $("#find").focus(); return; }
    const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
    if (!act || !video || video.closest("[hidden]")) return;
    if (event.repeat && !REPEATED.includes(event.key)) return;
    if (OWN[event.key] && event.target.closest?.(OWN[event.key])) return;
    event.preventDefault();
    act();
  });

  // Lines

  const folded = (text) => text.normalize("NFKC").toLowerCase();
  const lines = () => [...document.querySelectorAll("#viewing [data-from]")];

  function filter() {
    const find = $("#find");
    const told = $("#lines-found");
    if (!find || !told) return;
    const wanted = folded(find.value.trim());
    const all = lines();
    all.forEach((one) => { one.hidden = !folded(one.textContent).includes(wanted); });
    const left = all.filter((one) => !one.hidden).length;
    told.hidden = !wanted;
    told.textContent = `${left} of ${all.length} lines`;
  }

  function toNextLine() {
    const found = lines().filter((one) => !one.hidden);
    if (!found.length || !video) return;
    const next = found.find((one) => Number(one.dataset.from) > video.currentTime + 0.05) ?? found[0];
    move(Number(next.dataset.from));
    next.scrollIntoView({ block: "nearest" });
  }

  function follow() {
    const at = video.currentTime;
    const part = video.duration ? (100 * at) / video.duration : 0;
    document.querySelectorAll(".playhead").forEach((line) => { line.setAttribute("x1", `${part}%`); line.setAttribute("x2", `${part}%`); });
    lines().forEach((one) => one.classList.toggle("now", at >= Number(one.dataset.from) - 0.05 && at <= Number(one.dataset.to) + 0.05));
    document.querySelectorAll("#board [data-seek]").forEach((one, index, all) => {
      const until = index + 1 < all.length ? Number(all[index + 1].dataset.seek) : Infinity;
      one.classList.toggle("now", at >= Number(one.dataset.seek) - 0.05 && at < until - 0.05);
    });
    show();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-seek]");
    if (!link) return;
    event.preventDefault();
    if (!video) return;
    move(Number(link.dataset.seek));
    if (!link.closest("#board, #viewing")) video.scrollIntoView({ block: "nearest" });
  });

  // What arrives after the media was revealed is not blurred.
  document.addEventListener("htmx:afterSettle", () => {
    if (revealed()) document.querySelectorAll("#board .veiled").forEach((one) => one.classList.replace("veiled", "unveiled"));
    filter();
    if (video) follow();
  });

  document.addEventListener("DOMContentLoaded", () => {
    $("#find")?.addEventListener("input", filter);
    $("#find")?.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); toNextLine(); } });
    $("#before")?.addEventListener("click", () => toEvidence(-1));
    $("#after")?.addEventListener("click", () => toEvidence(1));
    video = $("#video");
    if (!video) return;
    ["timeupdate", "seeked", "loadedmetadata", "ratechange"].forEach((name) => video.addEventListener(name, follow));
    document.addEventListener("veil", () => { video.muted = true; });
    if (video.requestVideoFrameCallback) watchFrames();
  });
})();
