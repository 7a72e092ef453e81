"use strict";
// The editor of policies: the checker's mistakes at their lines, and what may come next, by keyboard.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const CHECK_MS = 400;
  const OFFER_MS = 150;

  document.addEventListener("DOMContentLoaded", () => {
    const form = $("#policy-form");
    if (!form) return;
    const area = $("#policy-text"), golden = $("#golden-text"), marks = $(".marks"), gutter = $(".gutter"), list = $("#words");
    const most = Number(form.dataset.most);
    let mistakes = [...document.querySelectorAll("#mistakes [data-line]")].map((one) => ({
      line: Number(one.dataset.line), column: Number(one.dataset.column), message: one.textContent.trim(), severity: one.classList.contains("bad") ? "error" : "note",
    }));

    // What one line and one character take.
    function size() {
      const style = getComputedStyle(area);
      const line = parseFloat(style.lineHeight);
      const probe = document.createElement("span");
      probe.className = "probe";
      probe.textContent = "0".repeat(100);
      $(".sheet").append(probe);
      const char = probe.getBoundingClientRect().width / 100;
      probe.remove();
      return { line, char, top: parseFloat(style.paddingTop) + parseFloat(style.borderTopWidth), left: parseFloat(style.paddingLeft) + parseFloat(style.borderLeftWidth) };
    }
    const unit = size();

    async function ask(address, fields, signal) {
      const body = new URLSearchParams({ csrf: form.querySelector("[name=csrf]").value, ...fields });
      const answer = await fetch(address, { method: "POST", body, signal, headers: { accept: "application/json" } });
      const found = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : {};
      return { status: answer.status, after: Number(answer.headers.get("retry-after")) || 2, ...found };
    }

    // Mistakes at their places

    function scrolled() {
      marks.style.transform = `translate(${-area.scrollLeft}px, ${-area.scrollTop}px)`;
      gutter.firstElementChild.style.transform = `translateY(${-area.scrollTop}px)`;
    }

    function place(element, line, column, width) {
      element.style.top = `${unit.top + (line - 1) * unit.line}px`;
      element.style.left = `${unit.left + (column - 1) * unit.char}px`;
      element.style.height = `${unit.line}px`;
      if (width) element.style.width = `${width * unit.char}px`;
      return element;
    }

    function draw() {
      const lines = area.value.split("\n");
      const wrong = new Map(mistakes.filter((one) => one.line).map((one) => [one.line, one]).reverse());
      const numbers = document.createElement("div");
      for (let at = 1; at <= lines.length; at += 1) {
        const number = document.createElement("span");
        number.textContent = String(at);
        number.className = wrong.get(at)?.severity || "";
        numbers.append(number);
      }
      gutter.replaceChildren(numbers);
      marks.replaceChildren();
      for (const [line, one] of wrong) {
        const text = lines[line - 1];
        if (text === undefined) continue;
        const column = Math.min(one.column || 1, text.length + 1);
        const word = text.slice(column - 1).match(/^[\w./-]+/);
        const under = document.createElement("span");
        under.className = `under ${one.severity}`;
        const told = document.createElement("span");
        told.className = `told-here ${one.severity}`;
        told.textContent = one.message;
        marks.append(place(under, line, column, word ? word[0].length : Math.max(1, text.length - column + 1)), place(told, line, text.length + 3));
      }
      scrolled();
    }

    function fill(list, items, row) {
      list.replaceChildren(...items.map((one) => { const made = document.createElement("li"); row(made, one); return made; }));
    }

    function tagged(tag, kind, text) {
      const made = document.createElement(tag);
      made.className = kind;
      made.textContent = text;
      return made;
    }

    function show(found) {
      mistakes = found.mistakes;
      const errors = mistakes.filter((one) => one.severity === "error").length;
      $("#checked").textContent = found.version && !errors ? found.version : `${errors} mistake${errors === 1 ? "" : "s"}`;
      if (errors) area.setAttribute("aria-invalid", "true"); else area.removeAttribute("aria-invalid");
      fill($("#mistakes"), mistakes, (row, one) => {
        const button = tagged("button", `ghost ${one.severity === "error" ? "bad" : ""}`, `${one.line ? `line ${one.line}: ` : ""}${one.severity === "note" ? "note: " : ""}${one.message}`);
        button.type = "button";
        if (one.line) { button.dataset.line = one.line; button.dataset.column = one.column || 1; }
        row.append(button);
      });
      const passed = found.golden.filter((one) => one.passed).length;
      $("#golden-told").textContent = found.golden.length ? `${passed} of ${found.golden.length} are decided as expected` : "";
      fill($("#golden"), [...found.golden_mistakes, ...found.golden], (row, one) => {
        if (typeof one === "string") { row.className = "bad"; row.textContent = one; return; }
        row.append(one.passed ? tagged("b", "good", "passes") : tagged("b", "bad", "fails"), " ", tagged("bdi", "", one.name));
        one.wrong.forEach((line) => row.append(" ", tagged("small", "", line)));
      });
      fill($("#changes"), found.changes, (row, one) => { row.textContent = one; });
      draw();
    }

    let waiting = 0;
    let asking = null;
    function soon(wait = CHECK_MS) {
      clearTimeout(waiting);
      waiting = setTimeout(check, wait);
    }

    async function check() {
      asking?.abort();
      asking = new AbortController();
      if (Math.max(area.value.length, golden.value.length) > most) {
        $("#checked").textContent = `beyond ${most.toLocaleString("en")} characters it is checked when it is saved`;
        return;
      }
      try {
        const found = await ask("/policy/check", { text: area.value, golden: golden.value }, asking.signal);
        if (found.status === 200) show(found);
        else if (found.status === 429) soon(found.after * 1000);
        else $("#checked").textContent = found.message || "not checked: the console refuses it; reload the page";
      } catch (error) {
        if (error.name !== "AbortError") $("#checked").textContent = "not checked: the console does not answer";
      }
    }

    function goTo(line, column) {
      const lines = area.value.split("\n");
      const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + Math.min(column - 1, (lines[line - 1] || "").length);
      area.focus();
      area.setSelectionRange(at, at);
      area.scrollTop = Math.max(0, (line - 4) * unit.line);
      scrolled();
    }

    function nextMistake(back) {
      const here = area.value.slice(0, area.selectionStart).split("\n").length;
      const lines = [...new Set(mistakes.filter((one) => one.line).map((one) => one.line))].sort((a, b) => a - b);
      if (!lines.length) return;
      const target = back ? lines.filter((one) => one < here).pop() || lines[lines.length - 1] : lines.find((one) => one > here) || lines[0];
      goTo(target, mistakes.find((one) => one.line === target).column || 1);
    }

    // What may come

    let offered = null;
    let chosen = -1;
    let offering = 0;
    let asked = 0;

    function close() {
      asked += 1;
      clearTimeout(offering);
      offered = null;
      chosen = -1;
      list.hidden = true;
      list.replaceChildren();
      area.removeAttribute("aria-activedescendant");
      $("#words-told").textContent = "";
    }

    const typed = () => area.value.slice(offered.start, area.selectionStart).toLowerCase();

    function choose(at) {
      chosen = at;
      [...list.children].forEach((one, number) => one.setAttribute("aria-selected", String(number === at)));
      if (at < 0) area.removeAttribute("aria-activedescendant");
      else { area.setAttribute("aria-activedescendant", `word-${at}`); list.children[at].scrollIntoView({ block: "nearest" }); }
    }

    function render(first) {
      const word = typed();
      if (area.selectionStart < offered.start || /\n/.test(word)) { close(); return; }
      const fitting = offered.items.filter((one) => one.text.toLowerCase().includes(word) && one.text.toLowerCase() !== word);
      if (!fitting.length) { close(); return; }
      offered.shown = fitting;
      list.replaceChildren(...fitting.map((one, at) => {
        const row = tagged("li", "", one.text.trim());
        row.id = `word-${at}`;
        row.setAttribute("role", "option");
        if (one.told) row.append(" ", tagged("small", "", one.told));
        row.addEventListener("mousedown", (event) => { event.preventDefault(); take(at); });
        return row;
      }));
      const before = area.value.slice(0, offered.start).split("\n");
      list.hidden = false;
      const room = area.clientWidth - list.offsetWidth;
      list.style.left = `${Math.max(0, Math.min(room, unit.left + before[before.length - 1].length * unit.char - area.scrollLeft))}px`;
      list.style.top = `${unit.top + before.length * unit.line - area.scrollTop}px`;
      choose(first ? 0 : -1);
      $("#words-told").textContent = `${fitting.length} word${fitting.length === 1 ? "" : "s"} may come; arrow keys choose, Enter takes`;
    }

    // The browser's own way of writing keeps its undo.
    function write(text, from) {
      area.setSelectionRange(from, area.selectionEnd);
      if (!document.execCommand("insertText", false, text)) area.setRangeText(text, from, area.selectionEnd, "end");
    }

    function take(at) {
      const one = offered.shown[at], from = offered.start;
      close();
      write(one.text, from);
      close();
      draw();
      soon();
    }

    async function offer(first) {
      const at = area.selectionStart;
      if (area.value.length > most) return;
      const mine = asked += 1;
      try {
        const found = await ask("/policy/words", { text: area.value, at });
        if (found.status !== 200 || mine !== asked || area.selectionStart !== at || document.activeElement !== area) return;
        offered = found;
        render(first);
      } catch { /* the console does not answer: nothing is offered */ }
    }

    area.addEventListener("input", (event) => {
      draw();
      soon();
      if (offered) { render(chosen >= 0); if (offered) return; }
      clearTimeout(offering);
      const before = area.value.slice(0, area.selectionStart);
      if (event.inputType === "insertText" && /[\w"./{[:] ?$/.test(before)) offering = setTimeout(() => offer(false), OFFER_MS);
    });
    golden.addEventListener("input", () => soon());
    area.addEventListener("scroll", () => { scrolled(); if (offered) close(); });
    area.addEventListener("blur", close);
    area.addEventListener("click", close);
    area.addEventListener("keydown", (event) => {
      if (event.key === "F8") { event.preventDefault(); close(); nextMistake(event.shiftKey); return; }
      if (event.key === " " && (event.ctrlKey || event.metaKey)) { event.preventDefault(); clearTimeout(offering); offer(true); return; }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (offered) {
        const count = list.children.length;
        if (event.key === "ArrowDown") { event.preventDefault(); choose((chosen + 1) % count); return; }
        if (event.key === "ArrowUp") { event.preventDefault(); choose(chosen <= 0 ? count - 1 : chosen - 1); return; }
        if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); return; }
        if (event.key === "Enter" && chosen >= 0) { event.preventDefault(); take(chosen); return; }
        if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") close();
      }
      if (event.key === "Enter" && !event.shiftKey) {
        const line = area.value.slice(0, area.selectionStart).split("\n").pop();
        const indent = line.match(/^ */)[0];
        if (indent) { event.preventDefault(); close(); write(`\n${indent}`, area.selectionStart); draw(); soon(); }
      }
    });
    $("#mistakes").addEventListener("click", (event) => {
      const one = event.target.closest("[data-line]");
      if (one) goTo(Number(one.dataset.line), Number(one.dataset.column));
    });
    draw();
    form.dataset.ready = "1";
  });
})();
