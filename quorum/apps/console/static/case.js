"use strict";
// The page of a case: a pause before keys decide, numbered categories, drafts, damaged media.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const store = {
    get: (name) => { try { return JSON.parse(localStorage.getItem(name)); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* forbidden or full */ } },
    drop: (name) => { try { localStorage.removeItem(name); } catch { /* forbidden */ } },
    names: () => { try { return Object.keys(localStorage); } catch { return []; } },
  };

  // For a moment after a case opened its reviewer cannot have seen it: a second press of a key, or
  // a second click, that was meant for the case before decides nothing.
  let armed = false;

  function arm() {
    if (armed) return;
    armed = true;
    $("#decide").classList.remove("early");
    document.documentElement.dataset.ready = "1";
  }

  function armWhenSeen() {
    if (document.visibilityState !== "visible") {
      document.addEventListener("visibilitychange", armWhenSeen, { once: true });
      return;
    }
    setTimeout(arm, Number($("#decide").dataset.dwell));
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "decide") return;
    const needs = ["restrict", "remove"].includes(event.submitter?.value);
    const lacks = armed && needs && !$("#category :checked");
    $("#uncategorised").hidden = !lacks;
    if (armed && !lacks) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (lacks) $("#category input").focus();
  }, true);

  // A note is kept in this browser until its decision was sent, or for a day.
  const DAY = 86400000;
  const MINUTE = 60000;
  const KIND = "draft:";
  const owner = document.body.dataset.user || "";

  function forgetOld() {
    for (const name of store.names().filter((one) => one.startsWith(KIND))) {
      const draft = store.get(name);
      const age = Date.now() - ((draft && (draft.sent || draft.at)) || 0);
      if (age > (draft && draft.sent ? MINUTE : DAY)) store.drop(name);
    }
  }

  function keepDraft(form, note) {
    const name = `${KIND}${owner}:${form.elements.upload.value}`;
    const told = $("#draft");
    const known = store.get(name);
    if (known && known.note && !note.value) {
      note.value = known.note;
      told.querySelector("span").textContent = "Your draft was restored from this browser.";
      told.hidden = false;
    }
    told.querySelector("button").addEventListener("click", () => {
      note.value = "";
      store.drop(name);
      told.hidden = true;
      note.focus();
    });
    note.addEventListener("input", () => {
      if (note.value) store.set(name, { note: note.value, at: Date.now() });
      else store.drop(name);
    });
    // An undo, a conflict or a failure shows this page again: the note is there for a minute more.
    form.addEventListener("submit", (event) => {
      if (!event.defaultPrevented && note.value) store.set(name, { note: note.value, at: Date.now(), sent: Date.now() });
    });
  }

  // On a shared computer nothing of a person's is left behind by who logs out.
  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/logout") return;
    store.names().filter((one) => one.startsWith(`${KIND}${owner}:`)).forEach(store.drop);
  });

  async function explain(video, told) {
    let words = "The media could not be loaded.";
    try {
      const answer = await fetch(video.currentSrc || video.src, { headers: { range: "bytes=0-0" } });
      if (answer.ok) words = "The media is damaged, or of a kind that this browser cannot play. What could be read of it is in the frames and the predictions.";
      else if (answer.status === 404) words = "The media no longer exists, or is outside the allowed folders.";
    } catch { /* another host, or no connection */ }
    told.textContent = words;
    told.hidden = false;
    video.closest(".veilbox").hidden = true;
  }

  document.addEventListener("DOMContentLoaded", () => {
    forgetOld();
    const decide = $("#decide");
    if (decide) {
      decide.classList.add("early");
      armWhenSeen();
      keepDraft(decide, $("#note"));
    }
    const video = $("#video");
    if (video) {
      video.addEventListener("error", () => explain(video, $("#damaged")));
      if (video.error) explain(video, $("#damaged"));
    }
    document.querySelectorAll(".frames img").forEach((picture) => picture.addEventListener("error", () => {
      const words = document.createElement("small");
      words.textContent = "no frame: the media is damaged or gone";
      picture.replaceWith(words);
    }));
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !armed) return;
    if (event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, dialog[open]")) return;
    const choice = /^[1-9]$/.test(event.key) && $(`#category [data-key="${event.key}"]`);
    if (choice) { event.preventDefault(); choice.checked = true; choice.focus(); $("#uncategorised").hidden = true; }
  });
})();
