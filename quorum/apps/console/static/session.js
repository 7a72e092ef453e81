"use strict";
// The session: forms are sent only while it lasts, logging in again happens in place, a warning
// comes before the end, and what is behind is told on every page.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const user = document.body.dataset.user;
  if (!user) return;
  const WARN_SECONDS = 600;
  let pending = null;
  let ends = performance.now() + Number(document.body.dataset.left) * 1000;
  let most = performance.now() + Number(document.body.dataset.most) * 1000;

  // What was answered: the token for forms, and the seconds that the session lasts.
  function take(answer) {
    document.querySelectorAll("input[name=csrf]").forEach((field) => { field.value = answer.csrf; });
    ends = performance.now() + answer.left * 1000;
    most = performance.now() + answer.most * 1000;
    showEnd();
  }

  async function ask(method, body) {
    try {
      const address = body ? "/login/again" : "/session";
      const answer = await fetch(address, { method, body, headers: { accept: "application/json" } });
      const found = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : {};
      return { status: answer.status, ...found };
    } catch {
      return { status: 0 };
    }
  }

  function tell(words) {
    const told = $("#unsent");
    told.querySelector("span").textContent = words;
    told.hidden = !words;
  }

  // Logging in again in place; then what was wanted is done.
  function logIn(wanted) {
    pending = wanted || pending;
    const dialog = $("#again");
    if (!dialog.open) dialog.showModal();
    (dialog.querySelector("[name=password]") || dialog.querySelector("a"))?.focus();
    watchForOther();
  }

  // Through an identity provider one logs in in another tab: this one asks whether it is done.
  let watching = null;
  function watchForOther() {
    const dialog = $("#again");
    if (watching || !dialog.querySelector("a[target]")) return;
    watching = setInterval(async () => {
      if (!dialog.open) { clearInterval(watching); watching = null; return; }
      const answer = await ask("GET");
      if (answer.status !== 200 || !dialog.open) return;
      clearInterval(watching);
      watching = null;
      loggedIn(answer);
    }, 2000);
  }

  function loggedIn(answer) {
    take(answer);
    $("#again").close();
    const wanted = pending;
    pending = null;
    if (answer.name !== user) tell(`You are logged in as ${answer.name} now. Nothing was sent; your note is kept: reload the page.`);
    else if (wanted) wanted();
  }

  async function logInAgain(event) {
    event.preventDefault();
    const form = event.target;
    const answer = await ask("POST", new URLSearchParams(new FormData(form)));
    const told = form.querySelector("[role=alert]");
    if (answer.status !== 200) {
      told.textContent = answer.message || "The console does not answer; try again in a few seconds.";
      told.hidden = false;
      return;
    }
    form.querySelector("[name=password]").value = "";
    told.hidden = true;
    loggedIn(answer);
  }

  async function send(form, submitter) {
    const answer = await ask("GET");
    delete form.dataset.asking;
    if (answer.status === 200 && answer.name !== user) {
      tell(`You are logged in as ${answer.name} now. Nothing was sent; your note is kept: reload the page.`);
    } else if (answer.status === 200) {
      tell("");
      take(answer);
      form.dataset.asked = "1";
      form.requestSubmit(submitter && submitter.isConnected ? submitter : undefined);
    } else if (answer.status === 401) {
      logIn(() => { form.dataset.asking = "1"; send(form, submitter); });
    } else {
      tell("Nothing was sent: the console or its database does not answer. Your note is kept in this browser; try again in a few seconds.");
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || form.closest("#again") || form.hasAttribute("hx-post")) return;
    if (form.dataset.asked && !form.dataset.sent) { form.dataset.sent = "1"; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    // A second press must not send the form again.
    if (form.dataset.sent || form.dataset.asking) return;
    form.dataset.asking = "1";
    send(form, event.submitter);
  }, true);
  addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form").forEach((form) => { delete form.dataset.sent; delete form.dataset.asked; });
  });

  function showEnd() {
    const told = $("#ending");
    const left = (ends - performance.now()) / 1000;
    told.hidden = left > WARN_SECONDS;
    if (told.hidden) return;
    const minutes = Math.max(0, Math.ceil(left / 60));
    told.querySelector("span").textContent = left > 0 ? `Your session ends in ${minutes} min.` : "Your session has ended. What you typed is still here.";
    // Past its greatest length a session is not made longer.
    const slides = left > 0 && most - ends > 1000;
    told.querySelector("button").textContent = slides ? "Stay logged in" : "Log in again";
    told.dataset.slides = slides ? "1" : "";
  }

  document.addEventListener("DOMContentLoaded", () => {
    // A tab that was opened to log in has done its work.
    if ($("[data-signed-on]")) close();
    $("#again form").addEventListener("submit", logInAgain);
    $("#ending button").addEventListener("click", async () => {
      if (!$("#ending").dataset.slides) { logIn(); return; }
      const answer = await ask("GET");
      if (answer.status === 200) take(answer);
      else if (answer.status === 401) logIn();
      else tell("The console does not answer; try again in a few seconds.");
    });
    showEnd();
    setInterval(showEnd, 5000);
  });

  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status !== 401 || $("#again").open) return;
    ends = Math.min(ends, performance.now());
    showEnd();
  });
  const unreachable = (on) => { $("#unreachable").hidden = !on; };
  document.addEventListener("htmx:sendError", () => unreachable(true));
  document.addEventListener("htmx:timeout", () => unreachable(true));
  document.addEventListener("htmx:afterRequest", (event) => {
    const answer = event.detail.xhr;
    if (!answer || !answer.status) return;
    unreachable(false);
    const left = answer.getResponseHeader("quorum-left");
    if (left !== null) { ends = performance.now() + Number(left) * 1000; showEnd(); }
  });

  // A refresh replaces the rows: the focus stays on the same row, or on the one in its place.
  let place = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const links = [...event.detail.target.querySelectorAll("a[href], button, input, [tabindex]")];
    const at = links.indexOf(document.activeElement);
    place = at < 0 ? null : { id: document.activeElement.id, at };
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (place === null) return;
    const links = [...event.detail.target.querySelectorAll("a[href], button, input, [tabindex]")];
    const found = (place.id && document.getElementById(place.id)) || links[Math.min(place.at, links.length - 1)];
    place = null;
    found?.focus({ preventScroll: true });
  });
})();
