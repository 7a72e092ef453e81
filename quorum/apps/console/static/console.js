"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* forbidden */ } };
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };

  function switchTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("theme", root.dataset.theme);
  }

  function reveal(shown) {
    document.querySelectorAll(".veiled, .unveiled").forEach((one) => {
      one.classList.toggle("veiled", !shown);
      one.classList.toggle("unveiled", shown);
    });
    const button = $("#reveal");
    if (button) { button.hidden = shown; button.setAttribute("aria-pressed", String(shown)); }
    if ($("#cover")) $("#cover").hidden = !shown;
    if (!shown) document.dispatchEvent(new Event("veil"));
  }
  const revealed = () => document.querySelector(".unveiled") !== null;

  function grey(on, stays = true) {
    document.documentElement.classList.toggle("grey", on);
    if ($("#grey")) $("#grey").setAttribute("aria-pressed", String(on));
    if (stays) keep("grey", on ? "1" : "0");
  }

  // The server's and the browser's clock may differ, so only the difference is used.
  function countdown(element, show) {
    const end = performance.now() + (Number(element.dataset.until) - Number(element.dataset.now)) * 1000;
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      show(Math.max(0, left));
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }

  document.addEventListener("DOMContentLoaded", () => {
    $("#theme")?.addEventListener("click", switchTheme);
    $("#keys")?.addEventListener("click", () => $("#help").showModal());
    $("#reveal")?.addEventListener("click", () => reveal(true));
    $("#cover")?.addEventListener("click", () => reveal(false));
    $("#grey")?.addEventListener("click", () => grey(!document.documentElement.classList.contains("grey")));
    // What was chosen in this browser stands before the default, until that is changed.
    grey((kept("grey") ?? $("#grey")?.dataset.default ?? "") === "1", false);
    $("#preferences")?.addEventListener("submit", () => { try { localStorage.removeItem("grey"); } catch { /* forbidden */ } });

    const toast = $("#toast");
    if (toast) countdown(toast, (left) => {
      toast.querySelector(".count").textContent = `${left} s`;
      if (left === 0) toast.remove();
    });
    const lease = $(".lease");
    if (lease) {
      countdown(lease, (left) => {
        lease.textContent = left > 0 ? `yours for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "your claim expired";
        lease.classList.toggle("late", left < 60);
      });
      // Activity on the page renews the lease.
      let worked = 0;
      document.addEventListener("keydown", () => { worked = performance.now(); });
      document.addEventListener("pointermove", () => { worked = performance.now(); });
      setInterval(async () => {
        const form = $("#renew");
        if (!form || performance.now() - worked > 120000) return;
        const answer = await fetch("/renew", { method: "POST", body: new URLSearchParams(new FormData(form)) });
        if (answer.status === 204) {
          lease.dataset.now = "0";
          lease.dataset.until = "600";
        }
      }, 120000);
    }

    const ticks = [...document.querySelectorAll("#decide [type=checkbox][name=task]:enabled")];
    if (ticks.length) {
      const all = $("#all");
      const tell = () => {
        const count = ticks.filter((one) => one.checked).length;
        all.checked = count === ticks.length;
        all.indeterminate = count > 0 && count < ticks.length;
        $("#chosen").textContent = `${count} of ${ticks.length}`;
      };
      ticks.forEach((one) => one.addEventListener("change", tell));
      all.addEventListener("change", () => { ticks.forEach((one) => { one.checked = all.checked; }); tell(); });
      tell();
    }

    const live = $("#live");
    if (live) {
      const source = new EventSource(live.dataset.source);
      source.addEventListener("verdict", (event) => {
        const verdict = JSON.parse(event.data);
        const row = document.createElement("li");
        const badge = document.createElement("span");
        badge.className = `badge ${["allow", "restrict", "review", "remove"].includes(verdict.action) ? verdict.action : ""}`;
        badge.textContent = verdict.action;
        const link = document.createElement("a");
        link.href = `/case?upload=${encodeURIComponent(verdict.upload_id)}`;
        const title = document.createElement("bdi");
        title.textContent = verdict.title || "(no title)";
        link.append(title);
        const small = document.createElement("small");
        small.textContent = `${verdict.rule} · ${verdict.decided_by}`;
        row.append(badge, " ", link, " ", small);
        live.prepend(row);
        while (live.children.length > 12) live.lastElementChild.remove();
      });
      addEventListener("pagehide", () => source.close());
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const field = event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select");
    if (field) { if (event.key === "Escape") field.blur(); return; }
    if ($("dialog[open]")) return;
    const click = (selector) => { const found = $(selector); if (found) { event.preventDefault(); found.click(); } };
    const focus = (selector) => { const found = $(selector); if (found) { event.preventDefault(); found.focus(); } };
    const decision = document.querySelector(`#decide [data-key="${CSS.escape(event.key)}"]`);
    if (decision) { event.preventDefault(); decision.click(); return; }
    switch (event.key) {
      case "n": click($("#claim") ? "#claim" : "#next button"); break;
      case "u": click("#undo button"); break;
      case "d": click("#redo"); break;
      case "b": if ($("#reveal")) reveal(!revealed()); break;
      case "g": if ($("#grey")) $("#grey").click(); break;
      case "y": if ($("#replying")) { event.preventDefault(); $("#replying").open = true; $("#reply").focus(); } break;
      case "w": click("#alike"); break;
      case "l": click("#translate"); break;
      case "c": focus("#category input"); break;
      case "m": focus("#note"); break;
      case "s": if ($(".skipping")) { event.preventDefault(); $(".skipping").open = true; $("#reason").focus(); } break;
      case "q": location.href = "/queue"; break;
      case "/": event.preventDefault(); if ($("#text")) $("#text").focus(); else location.href = "/search"; break;
      case "t": switchTheme(); break;
      case "?": $("#help")?.showModal(); break;
    }
  });

  // Where a case is decided, the keys wait until it can have been seen (case.js).
  if (!$("#decide")) document.documentElement.dataset.ready = "1";
})();
