"use strict";
// Templates and macros fill the form; it is the reviewer who sends it.
(() => {
  const $ = (selector) => document.querySelector(selector);

  function write(text) {
    const field = $("#reply");
    field.value = text;
    field.dispatchEvent(new Event("refresh"));
    if (text) $("#replying").open = true;
  }

  function choose(category) {
    for (const one of document.querySelectorAll("#category input")) if (one.value === category) one.checked = true;
  }

  function note(text) {
    const field = $("#note");
    field.value = text;
    field.dispatchEvent(new Event("input"));
  }

  // Templates of another category than the chosen one are not offered.
  function offer() {
    const category = $("#category :checked")?.value;
    for (const one of $("#template")?.options || []) one.hidden = Boolean(one.dataset.category && category && one.dataset.category !== category);
    if ($("#reply").value) $("#reply").dispatchEvent(new Event("refresh"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    if (!$("#reply")) return;
    $("#template")?.addEventListener("change", (event) => write(event.target.value));
    $("#category")?.addEventListener("change", offer);
    offer();
    document.querySelectorAll(".macro").forEach((one) => one.addEventListener("click", () => {
      if (one.dataset.category) choose(one.dataset.category);
      if (one.dataset.note) note(one.dataset.note);
      if (one.dataset.reply) write(one.dataset.reply);
      $(`#decide [value=${one.dataset.action}]`)?.focus();
    }));
  });
})();
